/**
 * Where `shoal get` reads a Metalink document: from a file of this machine, or from its URL by the
 * agent itself, which keeps all rules about origins. Knows nothing of what the document says.
 */
import fs from "node:fs/promises";
import { LIMITS, ShoalError } from "@shoal/core";
import type { Jobs } from "@shoal/jobs";

/** Whether the argument names a Metalink 4 document. */
export function isMetalink(argument: string): boolean {
  const path = URL.parse(argument)?.pathname ?? argument;
  return path.toLowerCase().endsWith(".meta4");
}

/** The text of the document. Rejects with `ERR_FILE_UNREADABLE` or with what the job failed for. */
export async function readMetalink(
  argument: string,
  { jobs, signal }: { readonly jobs: Jobs; readonly signal: AbortSignal },
): Promise<string> {
  const isRemote = /^https?:/i.test(argument);
  const bytes = isRemote ? await fetchBytes(argument, jobs, signal) : await readBytes(argument);
  return new TextDecoder().decode(bytes);
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    await using file = await fs.open(path);
    if ((await file.stat()).size > LIMITS.metalinkLengthMax) throw tooLong();
    return await file.readFile();
  } catch (cause) {
    if (cause instanceof ShoalError) throw cause;
    throw new ShoalError("ERR_FILE_UNREADABLE", path, { cause });
  }
}

async function fetchBytes(url: string, jobs: Jobs, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const stream = new WritableStream<Uint8Array>({
    write: (part) => {
      length += part.length;
      if (length > LIMITS.metalinkLengthMax) throw tooLong();
      parts.push(part.slice());
    },
  });
  const files = [{ url, stream }];
  const options = { files, priority: "foreground", isVolatile: true } as const;
  const job = await jobs.createJob({ ...options, failOnTransient: true }, { signal });
  try {
    await Array.fromAsync(job.progress({ signal })); // Until it ends, or the signal does.
    await job.transferred;
    await job.acknowledge({ signal });
  } catch (error) {
    await job.cancel().catch(() => {});
    throw length > LIMITS.metalinkLengthMax ? tooLong() : error;
  }
  return Buffer.concat(parts);
}

function tooLong(): ShoalError {
  return new ShoalError("ERR_METALINK_MALFORMED", "the document is too long");
}
