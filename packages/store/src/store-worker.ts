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

const send = (message: FromWorker): void => port.postMessage(message);

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
    port?.close();
  }
}
