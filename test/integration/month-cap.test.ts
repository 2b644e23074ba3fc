/**
 * The monthly cap of uploads to the Internet, between agents on two machines with public addresses
 * in different networks; and that it holds after a restart.
 *
 *   uploader ─ switch ─ router ─ switch ─ downloader
 *
 * Skips, with the reason, where the kernel refuses network namespaces.
 */
import { join } from "node:path";
import { MiB } from "@shoal/core";
import { expect, test } from "vitest";
import { Child } from "../../examples/main-job/child.ts";
import { TestSite } from "./harness.ts";
import type { CappedOptions, CappedReport } from "./month-cap-target.ts";
import { NetworkLab } from "./namespaces.ts";
import type { LabHost } from "./namespaces.ts";

/** Networks for documentation (RFC 5737), and public to all who look at them. */
const PREFIXES = ["198.51.100", "203.0.113"] as const;
const CAP_BYTES = 2 * MiB;
const INTERNET = { mdns: false, watchNetwork: false, policies: { DODownloadMode: 3 } };

test("uploads to the Internet end at the month's cap, also after a restart, and are counted by class", async (context) => {
  await using site = await TestSite.create();
  const lab = await NetworkLab.create();
  if (typeof lab === "string") {
    console.log(`skipped: ${lab}`);
    return context.skip(lab);
  }
  site.use(lab);
  const [here, there] = [await lab.addSwitch(PREFIXES[0]), await lab.addSwitch(PREFIXES[1])];
  await lab.addRouter(here, there);
  const host = await lab.addHost(here);
  const { path, contentId } = await site.publish("file.bin", 8 * MiB);
  const { within } = await lab.addHost(there);
  const settings = { retryDelayMsMin: 50, dialBackoffMsMin: 10 };
  const place = { ...INTERNET, settings, listen: [], within };

  const first = startUploader(site, host, { path, sentBytesMin: CAP_BYTES });
  const { addresses: peers } = await first.next("serving");
  const peer = site.startAgent("peer", { ...place, peers });
  await peer.next("ready");
  const destination = join(site.directory, "got.bin");
  peer.send({ type: "download", job: { files: [{ contentId, destination }] } });
  const before = await first.next("refused");
  // In this order, because a job without any source waits long before it asks again.
  await peer.close();
  await first.close();
  expect(before.internetBytes).toBeGreaterThanOrEqual(CAP_BYTES);
  // What was under way when the cap was reached is finished.
  expect(before.internetBytes).toBeLessThan(2 * CAP_BYTES);
  expect(before.lanBytes).toBe(0);

  const again = startUploader(site, host, { sentBytesMin: 0 });
  site.startAgent("peer", { ...place, peers: (await again.next("serving")).addresses });
  expect(await again.next("refused")).toMatchObject({ internetBytes: 0, lanBytes: 0 });
});

/** Starts the uploader, with the state that it left if it ran before. */
function startUploader(
  site: TestSite,
  { address, within }: LabHost,
  options: Pick<CappedOptions, "path" | "sentBytesMin">,
): Child<never, CappedReport> {
  const argument: CappedOptions = {
    ...INTERNET,
    stateDirectory: join(site.directory, "state-uploader"),
    listen: [`/ip4/${address}/tcp/0`],
    settings: { internetUploadMonthBytesMax: CAP_BYTES, uploadsMax: 1 },
    ...options,
  };
  const script = new URL("./month-cap-target.ts", import.meta.url);
  return site.use(new Child<never, CappedReport>(script, { name: "uploader", argument, within }));
}
