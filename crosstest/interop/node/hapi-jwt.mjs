import { token } from '@hapi/jwt';
import { keyOf, serve } from './lib/serve.mjs';

serve('@hapi/jwt', (request) => {
  const artifacts = token.decode(request.token);
  token.verify(artifacts, { key: keyOf(request), algorithms: [request.algorithm] },
    { iss: request.issuer, aud: request.audience, sub: false });
  return artifacts.decoded.payload;
});
