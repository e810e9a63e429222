/** `openapi.json`: the description of the API, made from the table that it is served from. */
import { ROUTES, type Route } from './routes.js';

export function openApi(version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Midge',
      version,
      description:
        'What the broker knows of itself. The users, passwords and access rules are those of MQTT: a request needs the right to read its path as a topic.',
      license: { name: 'EPL-2.0', identifier: 'EPL-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    security: [{ basic: [] }],
    components: { securitySchemes: { basic: { type: 'http', scheme: 'basic' } } },
    paths: Object.fromEntries(ROUTES.map((route) => [`/${route.path}`, { get: operation(route) }])),
  };
}

function operation(route: Route): object {
  const { path, summary, isText, answers, parameters = {} } = route;
  const inQuery = Object.entries(parameters).map(([name, { description, rule }]) => ({
    name,
    in: 'query',
    description,
    schema: rule,
  }));
  const hasId = path.endsWith('{id}');
  const inPath = hasId
    ? [{ name: 'id', in: 'path', required: true, description: 'The client id.', schema: { type: 'string' } }]
    : [];
  const properties = Object.entries(answers ?? {}).map(([name, type]) => [name, { type }]);
  const schema = isText ? { type: 'string' } : { type: 'object', properties: Object.fromEntries(properties) };
  const [type, wrong] = [
    isText ? 'text/plain' : 'application/json',
    { description: 'A parameter is wrong.' },
  ];
  return {
    operationId: hasId ? path.replace('s/{id}', '') : path,
    summary,
    parameters: [...inPath, ...inQuery],
    responses: {
      200: { description: summary, content: { [type]: { schema } } },
      ...(inQuery.length > 0 && { 400: wrong }),
      401: { description: 'The user is not let in, or may not read this path.' },
      ...(hasId && { 404: { description: 'There is no such client.' } }),
    },
  };
}
