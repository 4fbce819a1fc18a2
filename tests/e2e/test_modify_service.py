"""A service that changes while it carries connections: what stays, and what ends before the answer comes."""

from tests.e2e.deployment import ECHO, Deployment, as_user

# Says who it is, in the place where others say whom they see.
NAMED = ECHO.replace('f"{peer[0]}\\n"', 'f"{sys.argv[2]}\\n"')


@as_user
def test_new_ports_apply_to_connected_endpoints_and_cut_nothing_but_the_old_ones(deployment: Deployment):
    deployment.serve()
    for port in (80, 81, 82):
        deployment.start_backend(port)
    endpoint = deployment.accepted_endpoint()
    acme, path = deployment.tenant("acme"), f"vpc-endpoint-services/{endpoint['endpoint_service_id']}"
    kept_and_ending = [{"client_port": 8080, "server_port": 80}, {"client_port": 8081, "server_port": 81}]
    acme.send("PUT", path, {"ports": kept_and_ending})
    kept, ending = deployment.talk("10.0.0.100", 8080), deployment.talk("10.0.0.100", 8081)
    assert (kept.say("before"), ending.say("before")) == ("before", "before")

    answer = acme.send("PUT", path, {"ports": [*kept_and_ending[:1], {"client_port": 8082, "server_port": 82}]})

    assert answer["status"] == "available"
    assert kept.say("after") == "after"
    assert ending.say("after") == ""
    assert deployment.talk("10.0.0.100", 8082).say("new") == "new"
    assert deployment.talk("10.0.0.100", 8081, timeout_seconds=0.5).seen_source == ""


@as_user
def test_a_service_that_moves_leaves_open_connections_where_they_are(deployment: Deployment):
    hosts = {"web-1": "10.0.0.20", "web-2": "10.0.0.21"}
    listed = ", ".join(f"{{name: {name}, ip: {address}}}" for name, address in hosts.items())
    lab = deployment.lab.read_text()
    deployment.lab.write_text(lab.replace("{name: web-1, ip: 10.0.0.20}", listed))
    deployment.serve()
    for name in hosts:
        backend = deployment.start_on_host(name, "python3", "-c", NAMED, "80", name)
        assert backend.stdout is not None
        assert backend.stdout.readline() == "ready\n"
    endpoint = deployment.accepted_endpoint(server_type="LB")
    acme, path = deployment.tenant("acme"), f"vpc-endpoint-services/{endpoint['endpoint_service_id']}"
    ports = {name: deployment.ids()["hosts"][name]["port_id"] for name in hosts}
    old = deployment.talk("10.0.0.100", 8080)
    assert (old.seen_source, old.say("before")) == ("web-1", "before")

    assert acme.send("PUT", path, {"port_id": ports["web-2"]})["port_id"] == ports["web-2"]
    new = deployment.talk("10.0.0.100", 8080)
    assert (new.seen_source, new.say("new")) == ("web-2", "new")
    assert old.say("where it was") == "where it was"

    acme.send("PUT", path, {"port_id": ports["web-1"]})
    assert (old.say("home again"), new.say("left behind")) == ("home again", "left behind")
    assert deployment.talk("10.0.0.100", 8080).seen_source == "web-1"


@as_user
def test_everybody_reaches_a_public_service_of_the_lab_file(deployment: Deployment):
    name = "com.example.lab.echo"
    deployment.lab.write_text(
        deployment.lab.read_text()
        + f"public_services:\n  - {{name: {name}, host: web-1, ports: [{{client_port: 7, server_port: 80}}]}}\n"
    )
    deployment.serve()
    deployment.start_backend(80)
    ids, globex = deployment.ids(), deployment.tenant("globex")
    described = globex.send("GET", f"vpc-endpoint-services/describe?endpoint_service_name={name}")
    assert described["id"] == ids["public_services"][name]["service_id"]

    endpoint = globex.send(
        "POST",
        "vpc-endpoints",
        {
            "endpoint_service_id": described["id"],
            "vpc_id": ids["vpcs"]["globex-vpc"]["vpc_id"],
            "subnet_id": ids["subnets"]["globex-vpc/apps"]["subnet_id"],
            "port_ip": "10.0.0.100",
        },
    )

    globex.until(f"vpc-endpoints/{endpoint['id']}", "accepted")
    assert deployment.talk("10.0.0.100", 7).say("hello") == "hello"
