import { KEYUTIL, KJUR } from 'jsrsasign';
import { publicPEM, secretOf, serve, symmetric } from './lib/serve.mjs';

serve('jsrsasign', (request) => {
  const key = symmetric(request) ? { hex: secretOf(request).toString('hex') } : KEYUTIL.getKey(publicPEM(request));
  const rules = { alg: [request.algorithm], iss: [request.issuer], aud: [request.audience] };
  if (!KJUR.jws.JWS.verifyJWT(request.token, key, rules)) throw new Error('verifyJWT returned false');
  return KJUR.jws.JWS.readSafeJSONString(Buffer.from(request.token.split('.')[1], 'base64url').toString());
});
