"""Show and set a project's quotas in a state directory, whether or not its server runs.

The server reads quotas anew in each creation, so a change counts at once.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landbridge.bootstrap.databases import open_beside
from landbridge.cli.acting import this_operator
from landbridge.control.actors import acting_as
from landbridge.control.quotas import OwnQuotas, change_quotas
from landbridge.domain.resources import QuotaType
from landbridge.settings import Settings
from landbridge.state import StateDirectory


def quotas_after(
    state: Path, settings: Settings, project: str, wishes: Mapping[QuotaType, str | None], *, as_json: bool
) -> str:
    """Set what is wished for, None leaves a quota as it is, and return what the project has and may have then.

    Raises:
        OperatorError: there is no such state or project.
    """
    changes = {type_: None if wish == "default" else int(wish) for type_, wish in wishes.items() if wish is not None}
    with open_beside(settings, StateDirectory(state)) as store, acting_as(this_operator()):
        quotas = asyncio.run(store.write(lambda tx: change_quotas(tx, project, changes)))
    return json.dumps(_facts(quotas), indent=1) if as_json else _table(quotas)


def _facts(quotas: OwnQuotas) -> dict[str, Any]:
    resources = [
        {"type": type_.value, "used": quotas.used[type_], "quota": quotas.own.get(type_)} for type_ in QuotaType
    ]
    return {"project_id": quotas.project_id, "quotas": resources}


def _table(quotas: OwnQuotas) -> str:
    lines = [f"{'TYPE':<16}  {'USED':>9}  {'QUOTA':>9}"]
    lines += [
        f"{type_.value:<16}  {quotas.used[type_]:>9}  {quotas.own.get(type_, 'default'):>9}" for type_ in QuotaType
    ]
    return "\n".join(lines)
