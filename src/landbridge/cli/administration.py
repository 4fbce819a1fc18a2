"""Commands about projects, users and access keys of a state directory, whether or not its server runs.

Secrets are printed when they are made, on stdout, and nowhere else. Nothing heavy is imported before a command runs.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from landbridge.cli.acting import this_operator
from landbridge.cli.output import print_json, print_record, print_table
from landbridge.cli.session import Ended, Misused
from landbridge.control.accounts import ProjectRecord, UserRecord
from landbridge.control.actors import acting_as
from landbridge.domain.errors import LandbridgeError
from landbridge.domain.ids import ProjectId
from landbridge.settings import default_state, read_settings

if TYPE_CHECKING:
    from landbridge.identity.administration import Administration

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., object])

_CONFIG = "landbridge.config"
_ROLES = ("reader", "member", "admin", "operator")


def _options(command: Command) -> Command:
    """Add what all these commands have."""
    state = click.option(
        "--state",
        type=click.Path(file_okay=False, path_type=Path),
        default=default_state,
        help="The server's state directory; by default that of landbridge serve.",
    )
    config = click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_keep_config,
        expose_value=False,
        help="The server's TOML file, where it names a database.",
    )
    return state(config(click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")(command)))


def _keep_config(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Keep it for `_accounts`: no command does anything else with it."""
    context.meta[_CONFIG] = path


_domain_option = click.option("--domain", metavar="NAME", help="Which domain, if several have the name.")


@contextmanager
def _accounts(state: Path, *, may_begin: bool = False) -> Generator["Administration"]:
    """Give the accounts for one command; whatever goes wrong in the block ends the command with a sentence."""
    from landbridge.bootstrap.local_accounts import local_accounts  # noqa: PLC0415 — the database takes a while to import

    try:
        settings = read_settings(click.get_current_context().meta[_CONFIG])
        with local_accounts(state, settings, may_begin=may_begin) as accounts, acting_as(this_operator()):
            yield accounts
    except LandbridgeError as error:
        raise Ended(str(error)) from error


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@click.group("user")
def user() -> None:
    """Who may sign in."""


@click.group("key")
def key() -> None:
    """Access keys, for signed requests."""


@click.command("create")
@click.argument("name")
@click.option("--domain", metavar="NAME", help="The domain that owns it; by default one of the project's name.")
@_options
def create_project(name: str, domain: str | None, state: Path, as_json: bool) -> None:
    """Make a project; also before the server's first start."""
    with _accounts(state, may_begin=True) as accounts:
        made = _run(accounts.create_project(name, domain))
    _show(_project_facts(made), as_json)


@click.command("list")
@_options
def list_projects(state: Path, as_json: bool) -> None:
    """List all projects."""
    with _accounts(state) as accounts:
        projects = _run(accounts.projects())
    facts = [_project_facts(project) for project in projects]
    _show_list("projects", facts, ("id", "name", "domain", "origin", "domain_id"), as_json)


@click.command("delete")
@click.argument("project")
@_domain_option
@_options
def delete_project(project: str, domain: str | None, state: Path, as_json: bool) -> None:
    """Delete a project that owns nothing any more. PROJECT is a name or an id."""
    with _accounts(state) as accounts:
        gone = _run(accounts.delete_project(project, domain))
    _show(_project_facts(gone), as_json, "deleted")


@user.command("create")
@click.argument("name")
@click.option(
    "--project",
    "projects",
    required=True,
    multiple=True,
    metavar="PROJECT",
    help="Where the roles hold; may be given again.",
)
@click.option("--role", "roles", multiple=True, type=click.Choice(_ROLES), help="By default admin; may be given again.")
@click.option("--domain", metavar="NAME", help="The user's domain; by default that of the first project.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@_options
def create_user(
    name: str,
    projects: tuple[str, ...],
    roles: tuple[str, ...],
    domain: str | None,
    password_stdin: bool,
    state: Path,
    as_json: bool,
) -> None:
    """Make a user; a password is made and printed unless one is given."""
    from landbridge.identity.sealing import Secret  # noqa: PLC0415 — see the module docstring

    password = Secret(_line_of_stdin()) if password_stdin else None
    with _accounts(state) as accounts:
        made = _run(accounts.create_user(name, projects, roles or ("admin",), domain, password))
        names = {project.id: project.name for project in _run(accounts.projects())}
    facts = _user_facts(made.user, names)
    if made.password is not None:
        facts["password"] = made.password.reveal()
    _show(facts, as_json, None if made.password is None else "the password is shown only now")


@user.command("list")
@_options
def list_users(state: Path, as_json: bool) -> None:
    """List all users."""
    with _accounts(state) as accounts:
        users, names = _run(accounts.users()), {project.id: project.name for project in _run(accounts.projects())}
    facts = [_user_facts(one, names) for one in users]
    _show_list("users", facts, ("id", "name", "domain", "origin", "roles"), as_json)


@user.command("delete")
@click.argument("name", metavar="USER")
@_domain_option
@_options
def delete_user(name: str, domain: str | None, state: Path, as_json: bool) -> None:
    """Delete a user and the user's access keys. USER is a name or an id."""
    with _accounts(state) as accounts:
        gone = _run(accounts.delete_user(name, domain))
        names = {project.id: project.name for project in _run(accounts.projects())}
    _show(_user_facts(gone, names), as_json, "deleted")


@key.command("create")
@click.argument("name", metavar="USER")
@_domain_option
@_options
def create_key(name: str, domain: str | None, state: Path, as_json: bool) -> None:
    """Make an access key and print it with its secret. USER is a name or an id."""
    with _accounts(state) as accounts:
        made = _run(accounts.create_key(name, domain))
    facts = {
        "access_key": made.access_key,
        "secret_key": made.secret_key.reveal(),
        "user": made.user.name,
        "user_id": made.user.id,
    }
    _show(facts, as_json, "the secret key is shown only now")


@key.command("list")
@click.argument("name", metavar="[USER]", required=False)
@_options
def list_keys(name: str | None, state: Path, as_json: bool) -> None:
    """List access keys, all or those of a USER; secrets are never shown again."""
    with _accounts(state) as accounts:
        users = _run(accounts.users())
    facts = [
        {"access_key": held.access_key, "user": holder.name, "domain": holder.domain_name, "user_id": holder.id}
        for holder in users
        if name in {None, holder.name, holder.id}
        for held in holder.access_keys
    ]
    _show_list("keys", facts, ("access_key", "user", "domain", "user_id"), as_json)


@key.command("delete")
@click.argument("access_key")
@_options
def delete_key(access_key: str, state: Path, as_json: bool) -> None:
    """Delete an access key."""
    with _accounts(state) as accounts:
        holder = _run(accounts.delete_key(access_key))
    _show({"access_key": access_key, "user": holder.name, "user_id": holder.id}, as_json, "deleted")


def _line_of_stdin() -> str:
    """Return the first line of stdin without its end."""
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError:
        raise Misused("the password on stdin is not UTF-8: give another one") from None
    password = line.removesuffix("\n").removesuffix("\r")
    if not password:
        raise Misused("stdin has no password: write it on the first line, or leave --password-stdin out")
    return password


def _project_facts(project: ProjectRecord) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "domain": project.domain_name,
        "origin": project.origin.value,
    }


def _user_facts(record: UserRecord, project_names: Mapping[ProjectId, str]) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "domain": record.domain_name,
        "origin": record.origin.value,
        "roles": [
            {"project_id": id_, "project": project_names.get(id_, ""), "roles": sorted(roles)}
            for id_, roles in sorted(record.roles.items())
        ],
    }


def _show(facts: Mapping[str, Any], as_json: bool, remark: str | None = None) -> None:
    """Print one thing; the remark is for people, on stderr."""
    if as_json:
        print_json(facts)
    else:
        print_record({name: _cell(value) for name, value in facts.items()})
    if remark is not None:
        click.echo(remark, err=True)


def _show_list(name: str, facts: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json({name: facts})
        return
    headers = [column.replace("_", " ").upper() for column in columns]
    print_table(headers, [[_cell(one[column]) for column in columns] for one in facts])


def _cell(value: Any) -> str:
    """Return a value for people; roles as `PROJECT: ROLE ROLE`."""
    if isinstance(value, str):
        return value
    return ", ".join(f"{one['project'] or one['project_id']}: {' '.join(one['roles'])}" for one in value)
