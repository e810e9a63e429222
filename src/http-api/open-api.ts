/** `openapi.json`: the description of the API, made from the tables that it is served from. */
import { ACTIONS, type Action } from './actions.js';
import { ROUTES, type Route } from './routes.js';

export function openApi(version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Midge',
      version,
      description:
        'What the broker knows of itself. The users, passwords and access rules are those of MQTT: a GET needs the right to read its path as a topic, a POST the right to write it.',
      license: { name: 'EPL-2.0', identifier: 'EPL-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    security: [{ basic: [] }],
    components: { securitySchemes: { basic: { type: 'http', scheme: 'basic' } } },
    paths: Object.fromEntries([
      ...ROUTES.map((route) => [`/${route.path}`, { get: operation(route) }]),
      ...ACTIONS.map((action) => [`/${action.path}`, { post: operation(action) }]),
    ]),
  };
}

function operation(route: Route | Action): object {
  const { path, summary, answers, parameters = {} } = route;
  const isText = 'isText' in route && route.isText === true;
  const isAction = 'carryOut' in route;
  const inQuery = Object.entries(parameters).map(([name, { description, rule }]) => ({
    name,
    in: 'query',
    description,
    schema: rule,
  }));
  const hasId = path.includes('{id}');
  const inPath = hasId
    ? [{ name: 'id', in: 'path', required: true, description: 'The client id.', schema: { type: 'string' } }]
    : [];
  const properties = Object.entries(answers ?? {}).map(([name, type]) => [name, { type }]);
  const schema = isText ? { type: 'string' } : { type: 'object', properties: Object.fromEntries(properties) };
  const type = isText ? 'text/plain' : 'application/json';
  const wrong = { description: 'A parameter is wrong.' };
  const refused = { description: 'A parameter is wrong, or the broker cannot do that; the text says why.' };
  return {
    operationId: path.replace('s/{id}', ''),
    summary,
    parameters: [...inPath, ...inQuery],
    responses: {
      200: { description: summary, content: { [type]: { schema } } },
      ...((isAction || inQuery.length > 0) && { 400: isAction ? refused : wrong }),
      401: { description: `The user is not let in, or may not ${isAction ? 'write' : 'read'} this path.` },
      ...(isAction && { 403: { description: 'No user has logged in, or the page of another site asks.' } }),
      ...(hasId && { 404: { description: 'There is no such client.' } }),
    },
  };
}
