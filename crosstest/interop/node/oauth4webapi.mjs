import * as oauth from 'oauth4webapi';
import { once, serve } from './lib/serve.mjs';

const server = once((request) => ({ issuer: request.issuer, jwks_uri: request.jwksURL }), 'issuer', 'jwksURL');

serve('oauth4webapi', (request) =>
  oauth.validateJwtAccessToken(
    server(request),
    new Request('https://api.example.com/', { headers: { authorization: `Bearer ${request.token}` } }),
    request.audience,
    { [oauth.allowInsecureRequests]: true },
  ));
