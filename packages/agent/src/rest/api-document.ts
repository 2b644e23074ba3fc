/**
 * Makes the OpenAPI document of the routes that are added to an application.
 *
 * The one file that knows the library for it. An agent that nobody asks for the document has no need
 * of it, so the REST server loads this file when somebody does.
 */
import swagger from "@fastify/swagger";
import { createJsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import type { RestApp } from "./rest-app.ts";

/** To be awaited before routes are added: `app.swagger()` is made of those that follow. */
export async function describeApi(app: RestApp): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Shoal agent",
        version: "1",
        description: "What an agent answers on its socket (docs/rest-api.md).",
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "http://localhost", description: "the Unix socket" }],
      components: {
        securitySchemes: {
          token: { type: "http", scheme: "bearer", description: "On TCP: of the token file." },
        },
      },
      security: [{ token: [] }],
    },
    transform: createJsonSchemaTransform({ skipList: [] }),
    transformObject: (made) => withoutUnused(jsonSchemaTransformObject(made)),
  });
}

/** Every named schema is made for requests and for answers; those that nothing names are left out. */
function withoutUnused<Made extends object>(made: Made): Made {
  const { components } = made as { components?: { schemas?: Record<string, unknown> } };
  const schemas = components?.schemas ?? {};
  const used = new Set<string>();
  const look = (value: unknown): void => {
    for (const [, name = ""] of JSON.stringify(value).matchAll(
      /"#\/components\/schemas\/(\w+)"/g,
    )) {
      if (used.has(name)) continue;
      used.add(name);
      look(schemas[name] ?? {});
    }
  };
  look({ ...made, components: {} });
  for (const name of Object.keys(schemas)) if (!used.has(name)) delete schemas[name];
  return made;
}
