import jwt

from serve import secret, serve, symmetric


def verify(request):
    if symmetric(request):
        key = secret(request)
    else:
        client = jwt.PyJWKClient(request["jwksURL"])
        key = client.get_signing_key_from_jwt(request["token"]).key
    return jwt.decode(
        request["token"],
        key,
        algorithms=[request["algorithm"]],
        issuer=request["issuer"],
        audience=request["audience"],
    )


serve("PyJWT", verify)
