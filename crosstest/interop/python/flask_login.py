"""A service with Flask-JWT-Extended that is served over HTTP: /login, /refresh, /a/<thing> and /revoke.

It ends when its input ends.
"""

import importlib.metadata
import json
import logging
import sys
import threading

from flask import Flask, jsonify
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_jwt,
    get_jwt_identity,
    jwt_required,
)
from werkzeug.serving import make_server

app = Flask("login")
app.config["JWT_SECRET_KEY"] = "the secret of this service, at least 64 bytes for every HMAC there is"
manager = JWTManager(app)
revoked = set()


@manager.token_in_blocklist_loader
def is_revoked(_header, payload):
    return payload["jti"] in revoked


@app.post("/login")
def login():
    return jsonify(access_token=create_access_token("ann"), refresh_token=create_refresh_token("ann"))


@app.post("/refresh")
@jwt_required(refresh=True)
def refresh():
    return jsonify(access_token=create_access_token(get_jwt_identity()))


@app.get("/a/<thing>")
@jwt_required()
def get(thing):
    if thing == "revoke":
        revoked.add(get_jwt()["jti"])
    return jsonify(thing=thing)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({
    "version": importlib.metadata.version("flask_jwt_extended"),
    "issuer": f"http://127.0.0.1:{server.server_port}",
}), flush=True)
sys.stdin.read()
