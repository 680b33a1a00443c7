import { createVerifier } from 'fast-jwt';
import { keyOf, serve } from './lib/serve.mjs';

serve('fast-jwt', (request) =>
  createVerifier({
    key: keyOf(request),
    algorithms: [request.algorithm],
    allowedIss: request.issuer,
    allowedAud: request.audience,
  })(request.token));
