import { JwtVerifier } from 'aws-jwt-verify';
import { serve } from './lib/serve.mjs';

serve('aws-jwt-verify', async (request) => {
  const verifier = JwtVerifier.create({ issuer: request.issuer, audience: request.audience, jwksUri: request.jwksURL });
  // The package fetches only over https.
  verifier.cacheJwks(await (await fetch(request.jwksURL)).json());
  return verifier.verify(request.token);
});
