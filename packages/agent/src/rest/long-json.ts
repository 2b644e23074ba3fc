/**
 * Answers that grow with the number of jobs or files, as JSON in parts: nobody waits while all of it
 * is made, and no more of it is in memory than its reader has room for.
 *
 * Knows lists, not what is in them. Called by routes.
 */
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LIMITS } from "@shoal/core";

/** An object of `head`'s fields and then `name`: the items. */
export function longObject(head: object, name: string, items: readonly object[]): Readable {
  const text = JSON.stringify(head);
  const start = `${text.slice(0, -1)}${text === "{}" ? "" : ","}${JSON.stringify(name)}:[`;
  return Readable.from(partsOf(items, { start, separator: ",", end: "]}" }));
}

/** A line of JSON for each item. */
export function jsonLines(items: readonly object[]): Readable {
  return Readable.from(partsOf(items, { start: "", separator: "\n", end: "\n" }));
}

async function* partsOf(
  items: readonly object[],
  { start, separator, end }: { start: string; separator: string; end: string },
): AsyncGenerator<Buffer, undefined, undefined> {
  let part = start;
  for (const [index, item] of items.entries()) {
    part += index === 0 ? JSON.stringify(item) : separator + JSON.stringify(item);
    if (part.length < LIMITS.restPartBytesMax) continue;
    yield Buffer.from(part);
    part = "";
    await nextTurn();
  }
  if (items.length > 0 || start !== "") yield Buffer.from(part + end);
  return undefined;
}

/** As many of the items as fit into a page, one at least. */
export function pageOf<Item extends object>(items: readonly Item[], countMax: number): Item[] {
  const page: Item[] = [];
  let lengthBytes = 0;
  for (const item of items) {
    if (page.length >= countMax) break;
    lengthBytes += Buffer.byteLength(JSON.stringify(item));
    if (page.length > 0 && lengthBytes > LIMITS.restPageBytesMax) break;
    page.push(item);
  }
  return page;
}
