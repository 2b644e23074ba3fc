/**
 * The store's worker thread: everything that touches the disk or digests pieces runs here. Takes
 * messages, drives one `DiskStore`, sends its events back. Started by `openStore`.
 */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "@shoal/core";
import { diskErrorInfo } from "./disk-errors.ts";
import { openDiskStore } from "./open-disk-store.ts";
import type { OpenedDiskStore } from "./open-disk-store.ts";
import { fromWireCommand, toWireLayout } from "./worker-messages.ts";
import type { FromWorker, StoreWorkerData, ToWorker } from "./worker-messages.ts";

const port = parentPort;
assert(port !== null, "this module runs in a worker thread");
const { stateDirectory, cache } = workerData as StoreWorkerData;

/** What has not been said yet. An event goes with the answer to the command that it came of. */
let unsent: FromWorker[] = [];
let isFlushDue = false;

function send(message: FromWorker): void {
  unsent.push(message);
  if (isFlushDue) return;
  isFlushDue = true;
  setImmediate(flush);
}

function flush(): void {
  isFlushDue = false;
  if (unsent.length === 0) return;
  const messages = unsent;
  unsent = [];
  port?.postMessage(messages);
}

try {
  const opened = await openDiskStore({
    stateDirectory,
    ...(cache === undefined ? {} : { cache }),
    emit: (event, layout) => {
      const wire = layout === undefined ? {} : { layout: toWireLayout(layout) };
      send({ kind: "event", event, ...wire });
    },
  });
  port.on("message", (message: ToWorker) => void take(opened, message));
  send({ kind: "started", report: opened.report });
} catch (error) {
  send({ kind: "refused", error: diskErrorInfo(error, stateDirectory) });
}

async function take(
  { store, cache: contents, close }: OpenedDiskStore,
  message: ToWorker,
): Promise<void> {
  if (message.kind === "command") {
    await store.execute(fromWireCommand(message.command), message.bytes);
    send({ kind: "done", id: message.id });
    flush();
  } else if (message.kind === "share") {
    const { id, request } = message;
    try {
      store.share(request);
      send({ kind: "done", id });
    } catch (error) {
      send({ kind: "done", id, error: diskErrorInfo(error, request.path) });
    }
  } else if (message.kind === "cache") {
    const { id, request } = message;
    try {
      send({ kind: "done", id, entries: contents.perform(request) });
    } catch (error) {
      send({ kind: "done", id, error: diskErrorInfo(error, "the cache") });
    }
  } else {
    await close();
    flush();
    port?.close();
  }
}
