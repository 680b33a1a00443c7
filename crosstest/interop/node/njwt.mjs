// njwt checks the signature and the times, and neither iss nor aud.
import njwt from 'njwt';
import { keyOf, serve } from './lib/serve.mjs';

serve('njwt', (request) => ({ ...njwt.verify(request.token, keyOf(request), request.algorithm).body }));
