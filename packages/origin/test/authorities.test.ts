import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { expect, it } from "vitest";
import { readCaFile } from "../src/index.ts";
import { Recorder } from "./origin-harness.ts";

const CERTIFICATE = rootCertificates[0] ?? "";

it("a file of authorities is read whole, with the words between its certificates", async () => {
  await using place = await makePlace();
  const text = `My authorities\n${CERTIFICATE}\n# another\n${rootCertificates[1] ?? ""}\n`;
  expect(await readCaFile(await place.write(text))).toBe(text);
});

it("a file of authorities that is none is refused, and the message names it", async () => {
  await using place = await makePlace();
  const broken = CERTIFICATE.replace(/\n.{60,80}\n/, "\nAAAA\n");
  const texts: [text: string, reason: RegExp][] = [
    ["", /no certificate in it/],
    ["nothing of the kind", /no certificate in it/],
    [broken, /certificate 1 cannot be read/],
    [`${CERTIFICATE}\n${broken}`, /certificate 2 cannot be read/],
    [`${CERTIFICATE}\n${CERTIFICATE.slice(0, 300)}`, /cut off/],
    [CERTIFICATE.replaceAll("CERTIFICATE", "PRIVATE KEY"), /part 1 is no certificate/],
    ["x".repeat(5 * 1024 * 1024), /longer than/],
  ];
  for (const [text, reason] of texts) {
    const path = await place.write(text);
    const error: unknown = await readCaFile(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "ERR_CA_INVALID" });
    expect(String(error)).toMatch(reason);
    expect(String(error)).toContain(path);
  }
  for (const path of [place.directory, join(place.directory, "missing.pem")]) {
    await expect(readCaFile(path)).rejects.toMatchObject({ code: "ERR_CA_INVALID" });
    await expect(readCaFile(path)).rejects.toThrow(path);
  }
  expect(() => new Recorder({ ca: "nothing" })).toThrow(/no certificate in it/);
});

async function makePlace() {
  const directory = await mkdtemp(join(tmpdir(), "shoal-ca-"));
  const path = join(directory, "ca.pem");
  return {
    directory,
    write: async (text: string) => {
      await writeFile(path, text);
      return path;
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}
