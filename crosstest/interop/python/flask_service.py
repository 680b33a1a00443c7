"""A service with Flask-JWT-Extended.

A request is a JSON object on a line. Its member config has the settings of the service, and with op
"issue" the service issues a token, with op "send" it answers a request that carries a token.
"""

import datetime
import importlib.metadata
import json
import sys

from flask import Flask, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)

services = {}


def service(config):
    """Return the service of the settings. It is made once."""
    name = json.dumps(config, sort_keys=True)
    if name not in services:
        services[name] = make(config)
    return services[name]


def make(config):
    app = Flask("interop")
    app.config.update(config)
    JWTManager(app)

    def show():
        return jsonify(identity=get_jwt_identity(), claims=get_jwt())

    for path, rules in {
        "/access": {},
        "/fresh": {"fresh": True},
        "/refresh": {"refresh": True},
    }.items():
        app.add_url_rule(path, path, jwt_required(**rules)(show), methods=["GET", "POST"])
    return app


def issue(request):
    options = {"additional_claims": request.get("claims")}
    if request["type"] == "refresh":
        return {"token": create_refresh_token(request["identity"], **options)}
    fresh = request.get("fresh", False)
    if not isinstance(fresh, bool):
        fresh = datetime.timedelta(seconds=fresh)
    return {"token": create_access_token(request["identity"], fresh=fresh, **options)}


def send(app, request):
    headers = dict(request.get("headers") or {})
    client = app.test_client()
    if request.get("cookie"):
        client.set_cookie("localhost", request["cookie"], request["token"])
    else:
        headers["Authorization"] = "Bearer " + request["token"]
    response = client.open(request["path"], method=request.get("method", "GET"), headers=headers)
    return {"status": response.status_code, "body": response.get_json()}


def respond(value):
    print(json.dumps(value), flush=True)


respond({"version": importlib.metadata.version("Flask-JWT-Extended")})
for line in sys.stdin:
    asked = json.loads(line)
    app = service(asked["config"])
    with app.app_context():
        respond(issue(asked) if asked["op"] == "issue" else send(app, asked))
