from jose import jwt

from serve import key_set, secret, serve, symmetric


def verify(request):
    return jwt.decode(
        request["token"],
        secret(request) if symmetric(request) else key_set(request),
        algorithms=[request["algorithm"]],
        issuer=request["issuer"],
        audience=request["audience"],
    )


serve("python-jose", verify)
