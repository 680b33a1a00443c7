// hono refuses a typ other than JWT unless it is told which one to expect.
import { verify, verifyWithJwks } from 'hono/jwt';
import { secretOf, serve, symmetric } from './lib/serve.mjs';

serve('hono', async (request) => {
  const verification = { iss: request.issuer, aud: request.audience, typ: request.type };
  if (symmetric(request)) {
    return verify(request.token, secretOf(request).toString('latin1'), { alg: request.algorithm, ...verification });
  }
  return verifyWithJwks(request.token, { jwks_uri: request.jwksURL, verification, allowedAlgorithms: [request.algorithm] });
});
