import OktaJwtVerifier from '@okta/jwt-verifier';
import { once, serve } from './lib/serve.mjs';

const verifier = once((request) => new OktaJwtVerifier({ issuer: request.issuer, jwksUri: request.jwksURL }), 'issuer', 'jwksURL');

serve('@okta/jwt-verifier', async (request) => (await verifier(request).verifyAccessToken(request.token, request.audience)).claims);
