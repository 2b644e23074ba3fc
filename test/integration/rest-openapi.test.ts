/**
 * The API's document: it is valid, and what the agent answers is what it says. Every operation is
 * sent with the example of its body, and its answer is checked against its schema.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApiDocument } from "@shoal/agent";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requestOf } from "../contract/job-service-contract.ts";
import { RestSite } from "./rest-site.ts";
import type { RawAnswer } from "./rest-site.ts";

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, Body>> };
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, unknown>> }>
  >;
}
interface Body {
  readonly schema: Schema;
  readonly example?: unknown;
}
interface Schema {
  readonly $ref?: string;
  readonly examples?: readonly unknown[];
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const document = (await openApiDocument()) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
);
const ajv = new Ajv2020({ strict: false, schemas: [{ ...document, $id: "api" }] });

/** What the agent under test has no part for; the answer must be a problem that says so. */
const EXPECTED: Readonly<Record<string, number>> = {
  createJob: 201,
  createDownload: 201,
  // Nobody has asked an origin yet, there is no such stream, and no such file to announce.
  getFileResponse: 404,
  takePiece: 404,
  refusePiece: 404,
  detachStream: 404,
  announce: 502,
  addPeer: 400,
  reload: 501,
};
/** They are answered for as long as somebody listens: other tests do. */
const ENDLESS: ReadonlySet<string> = new Set(["attachStream", "watch", "watchJob"]);

let rest: RestSite;
let jobId: string;
beforeAll(async () => {
  rest = await RestSite.open();
  const service = rest.agent.jobService();
  const destination = join(rest.site.directory, "asked.bin");
  jobId = await service.createJob(requestOf([{ url: "http://127.0.0.1:9/", destination }]));
  await writeFile(join(rest.site.directory, "shared.bin"), "shared");
});
afterAll(() => rest[Symbol.asyncDispose]());

/** The schema that is meant, wherever it is written. */
function schemaOf({ $ref, ...schema }: Schema): Schema {
  const name = $ref?.split("/").at(-1) ?? "";
  return $ref === undefined ? schema : (document.components.schemas[name] ?? {});
}

function exampleOf({ requestBody }: Operation): object | undefined {
  if (requestBody === undefined) return undefined;
  const body = requestBody.content["application/json"];
  const example = body?.example ?? schemaOf(body?.schema ?? {}).examples?.[0];
  if (example === undefined) return undefined;
  // Examples name files as they would be named on anybody's machine.
  return JSON.parse(JSON.stringify(example).replaceAll("/tmp", rest.site.directory)) as object;
}

function send(operation: Operation & { path: string; method: string }): Promise<RawAnswer> {
  const path = operation.path
    .replace("{jobId}", jobId)
    .replace("{fileIndex}", "0")
    .replace("{streamId}", "none")
    .replace("{subject}", "192.0.2.1");
  const query = operation.operationId === "challenge" ? `?nonce=${"0".repeat(64)}` : "";
  const body = exampleOf(operation) ?? (operation.method === "delete" ? {} : undefined);
  const method = operation.method.toUpperCase();
  return rest.ask({ method, path: `${path}${query}`, ...(body === undefined ? {} : { body }) });
}

it("is an OpenAPI 3.1 document", async () => {
  expect(document.openapi).toBe("3.1.0");
  const { valid, errors } = await new Validator().validate({ ...structuredClone(document) });
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

it("is what the agent gives", async () => {
  const { status, body } = await rest.ask({ path: "/openapi.json" });
  expect(status).toBe(200);
  expect(JSON.parse(body)).toEqual(document);
});

it("names every operation once, and has an example of every body", () => {
  const names = operations.map(({ operationId }) => operationId);
  expect(new Set(names).size).toBe(names.length);
  const bodiless = operations.filter(
    (operation) => operation.requestBody !== undefined && exampleOf(operation) === undefined,
  );
  expect(bodiless).toEqual([]);
});

describe("answers as its schema says", () => {
  // Those that end the job come last.
  const rank = ({ operationId }: Operation): number =>
    ["cancelJob", "acknowledgeJob"].indexOf(operationId);
  const asked = operations
    .filter(({ operationId }) => !ENDLESS.has(operationId))
    .toSorted((a, b) => rank(a) - rank(b));

  it.each(asked.map((operation) => [operation.operationId, operation] as const))(
    "%s",
    async (name, operation) => {
      const answer = await send(operation);
      // A job that was cancelled cannot be acknowledged.
      const expected = name === "acknowledgeJob" ? 409 : (EXPECTED[name] ?? 200);
      expect([answer.status, answer.body.slice(0, 500)]).toEqual([expected, expect.any(String)]);
      const key = expected < 400 ? String(expected) : "default";
      const type = (answer.headers["content-type"] ?? "").split(";")[0] ?? "";
      expect(Object.keys(operation.responses[key]?.content ?? {})).toContain(type);
      if (!type.includes("json")) return;
      const path = `paths/${pointer(operation.path)}/${operation.method}/responses/${key}`;
      const validate = ajv.compile({ $ref: `api#/${path}/content/${pointer(type)}/schema` });
      validate(JSON.parse(answer.body));
      expect(validate.errors ?? []).toEqual([]);
    },
  );
});

/** A name inside a JSON pointer inside a URL. */
function pointer(name: string): string {
  return encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));
}
