/**
 * Listens to an agent's events over the REST API. Nothing else is asked of the agent before it has
 * begun to tell, so that nothing is missed that comes of what is asked.
 *
 * Knows server-sent events. Used by the remote services.
 */
import { createParser } from "eventsource-parser";
import type { EventSourceMessage } from "eventsource-parser";
import type { RestClient } from "./rest-client.ts";

export interface EventListener {
  readonly path: string;
  /** `reset`: some were missed. */
  readonly happened: (event: EventSourceMessage) => void;
}

/** Until the returned function is called. When the agent ends it, so does the client. */
export function followEvents(client: RestClient, { path, happened }: EventListener): () => void {
  let stop = (): void => {};
  let isStopped = false;
  const opened = client.open("GET", path).then((response) => {
    stop = () => void response.destroy();
    if (isStopped) return stop();
    const parser = createParser({ onEvent: (event) => void (!isStopped && happened(event)) });
    response.setEncoding("utf8");
    response.on("data", (text: string) => parser.feed(text));
    response.on("error", () => {}); // It closes as well.
    response.once("close", () => void (!isStopped && client.end("lost")));
  });
  opened.catch(() => client.end("lost"));
  client.first(opened);
  return () => {
    isStopped = true;
    stop();
  };
}
