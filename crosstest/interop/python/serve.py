"""serve answers requests on standard input.

A request is a JSON object on a line, and so is the response. The first line that serve prints has
the version of the package.
"""

import base64
import importlib.metadata
import json
import sys
import urllib.request


def respond(value):
    print(json.dumps(value), flush=True)


def serve(package, verify):
    """Print what verify decides over each request. verify returns the claims or raises."""
    respond({"version": importlib.metadata.version(package)})
    for line in sys.stdin:
        try:
            claims = verify(json.loads(line))
            respond({"accepted": True, "subject": claims["sub"]})
        except Exception as error:  # A verifier refuses with exceptions of many classes.
            respond({"accepted": False, "error": f"{type(error).__name__}: {error}"})


def symmetric(request):
    return request["algorithm"].startswith("HS")


def secret(request):
    return base64.b64decode(request["secret"])


def secret_jwk(request):
    value = base64.urlsafe_b64encode(secret(request)).rstrip(b"=").decode()
    return {"kty": "oct", "k": value}


def key_set(request):
    """Return the JWK set as our handler serves it."""
    with urllib.request.urlopen(request["jwksURL"]) as response:
        return json.load(response)
