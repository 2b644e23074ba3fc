/** Routes of the agent itself: contents, peers, cache, settings, figures, log. Knows its service. */
import { z } from "zod";
import type { RestApp, RouteDeps } from "../rest-app.ts";
import {
  addPeerBody,
  agentFacts,
  announceBody,
  ban,
  cacheChange,
  cacheEntry,
  checkReport,
  configuration,
  contentStatus,
  logRecord,
  monthSnapshot,
  peerStatus,
  performanceSnapshot,
  settingChanges,
  shareBody,
  trafficPoint,
} from "../schemas/agent-schemas.ts";
import { contentId, done, optional, failure, text } from "../schemas/basic-schemas.ts";

export function addAgentRoutes(app: RestApp, deps: RouteDeps): void {
  addContent(app, deps);
  addPeers(app, deps);
  addSettings(app, deps);
  addFigures(app, deps);
}

/** What an operation is called and answers. */
function answering<Answer extends z.ZodType>(tag: string, operationId: string, answer: Answer) {
  return { tags: [tag], operationId, response: { 200: answer, default: failure } };
}

const list = <Item extends z.ZodType>(name: string, item: Item) =>
  z.strictObject({ [name]: z.array(item).readonly() }) as z.ZodType<
    Readonly<Record<string, readonly z.infer<Item>[]>>
  >;

function addContent(app: RestApp, { service }: RouteDeps): void {
  app.get(
    "/v1/content",
    { schema: answering("content", "listContent", list("contents", contentStatus)) },
    async () => ({ contents: await service.contents() }),
  );
  app.post(
    "/v1/content",
    {
      schema: {
        ...answering("content", "shareFile", z.strictObject({ contentId })),
        description: "Offers a file of this machine to peers; takes as long as reading it does.",
        body: shareBody,
      },
    },
    async ({ body: { path } }) => ({ contentId: await service.share(path) }),
  );
  app.post(
    "/v1/content/announcements",
    {
      schema: {
        ...answering("content", "announce", done),
        description: "Passes on a publisher's signed announcement, and shares its file if named.",
        body: announceBody,
      },
    },
    async ({ body: { path, signed } }) => {
      await (path === undefined
        ? service.announce(signed)
        : service.jobs.announce({ path, signed }));
      return {};
    },
  );
  const entries = list("entries", cacheEntry);
  app.get("/v1/cache", { schema: answering("cache", "listCache", entries) }, async () => ({
    entries: await service.cache(),
  }));
  app.post(
    "/v1/cache",
    {
      schema: {
        ...answering("cache", "changeCache", entries),
        description: "Answers with what is there afterwards.",
        body: cacheChange,
      },
    },
    async ({ body }) => ({ entries: await service.changeCache(body) }),
  );
}

function addPeers(app: RestApp, { service }: RouteDeps): void {
  app.get(
    "/v1/peers",
    {
      schema: {
        ...answering("peers", "listPeers", list("peers", peerStatus)),
        querystring: z.object({ contentId: optional(text()) }),
      },
    },
    async ({ query }) => ({ peers: await service.peers(query.contentId) }),
  );
  app.post(
    "/v1/peers",
    { schema: { ...answering("peers", "addPeer", done), body: addPeerBody } },
    async ({ body }) => {
      await service.addPeer(body.multiaddr);
      return {};
    },
  );
  app.get(
    "/v1/peers/bans",
    { schema: answering("peers", "listBans", list("bans", ban)) },
    async () => ({ bans: await service.bans() }),
  );
  app.delete(
    "/v1/peers/bans/:subject",
    {
      schema: {
        ...answering("peers", "removeBan", z.strictObject({ wasBanned: z.boolean() })),
        params: z.object({ subject: text() }),
      },
    },
    async ({ params }) => ({ wasBanned: await service.removeBan(params.subject) }),
  );
}

function addSettings(app: RestApp, { service }: RouteDeps): void {
  // What the schema says less of than the type does.
  type Answer = z.infer<typeof configuration>;
  const answer = async (made: Promise<unknown>): Promise<Answer> => (await made) as Answer;
  app.get("/v1/settings", { schema: answering("settings", "getSettings", configuration) }, () =>
    answer(service.configuration()),
  );
  app.patch(
    "/v1/settings",
    { schema: { ...answering("settings", "changeSettings", configuration), body: settingChanges } },
    ({ body }) => answer(service.changeSettings(body)),
  );
  app.post(
    "/v1/settings/reload",
    {
      schema: {
        ...answering("settings", "reload", configuration),
        body: z.strictObject({}).meta({ examples: [{}] }),
      },
    },
    () => answer(service.reload()),
  );
}

function addFigures(app: RestApp, { service }: RouteDeps): void {
  app.get("/v1/agent", { schema: answering("agent", "getAgent", agentFacts) }, () =>
    service.facts(),
  );
  app.get("/v1/stats", { schema: answering("stats", "getStats", performanceSnapshot) }, () =>
    service.performance(),
  );
  app.get("/v1/stats/month", { schema: answering("stats", "getMonth", monthSnapshot) }, () =>
    service.month(),
  );
  const counters = z.record(z.string(), z.number());
  app.get("/v1/stats/counters", { schema: answering("stats", "getCounters", counters) }, () =>
    service.counters(),
  );
  app.get(
    "/v1/traffic",
    { schema: answering("stats", "getTraffic", list("points", trafficPoint)) },
    async () => ({ points: await service.traffic() }),
  );
  app.get(
    "/v1/log",
    {
      schema: {
        ...answering("agent", "getLog", list("records", logRecord)),
        querystring: z.object({
          after: optional(z.coerce.number().int().min(0)).meta({
            description: "The sequence of the last record that was seen.",
          }),
        }),
      },
    },
    async ({ query }) => ({ records: await service.log(query.after) }),
  );
  app.get(
    "/v1/doctor",
    { schema: answering("agent", "diagnose", list("checks", checkReport)) },
    async () => ({ checks: await service.diagnose() }),
  );
}
