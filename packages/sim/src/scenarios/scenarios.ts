/**
 * The scenarios by name (swarm-algorithms reference, section 10). Each is a flash crowd with other
 * flags, which can be given after the name, too; those that come later win.
 *
 * Pure data. Called by the `sim` command and by tests.
 */

export interface ScenarioRow {
  readonly help: string;
  /** As one would type them. */
  readonly flags: string;
}

export const SCENARIOS = {
  "flash-crowd": {
    help: "N agents start one cold download together; one origin behind a slow link",
    flags: "",
  },
  staggered: {
    help: "agents come one after the other over the time that one of them needs, and twice more",
    flags: "--arrival-ms 300000 --from-arrival",
  },
  unequal: {
    help: "the fastest uplink has ten times the rate of the slowest",
    flags: "--up-spread 10 --up-mib-per-sec 20 --origin-mib-per-sec 20",
  },
  sites: {
    help: "sites behind thin WAN links; every byte should cross each of them about once",
    flags: "--sites 2 --origin-mib-per-sec 40 --wan-mib-per-sec 5 --wan-ms 20",
  },
  "nat-sites": {
    help: "sites that cannot be dialled from outside, behind links that lose packets",
    flags: "--sites 3 --nat --wan-mib-per-sec 5 --wan-ms 20 --wan-loss-percent 0.01",
  },
  churn: {
    help: "a fifth of the agents crash or stop while they download, and come back",
    flags: "--churn-percent 20",
  },
  breaking: {
    help: "connections between peers break all the time",
    flags: "--connection-life-ms 10000",
  },
  "origin-down": {
    help: "the origin refuses connections for 10 s in the middle of the job",
    flags: "--trouble down@8000-18000",
  },
  "origin-slow": {
    help: "the origin sends a tenth of its rate for 10 s in the middle of the job",
    flags: "--trouble slow1024@8000-18000",
  },
  "origin-429": {
    help: "the origin answers 429 to new requests for 10 s in the middle of the job",
    flags: "--trouble 429@8000-18000",
  },
  "seed-leaves": {
    help: "one seed leaves when it has sent 1/N of what the others need, which is one copy",
    flags: "--seeds 1 --seed-copies 1 --origin-mib-per-sec 2",
  },
  corrupt: {
    help: "one agent in ten sends pieces with wrong bytes",
    flags: "--bad 10=corrupt",
  },
  liars: {
    help: "one agent in ten claims to have everything",
    flags: "--bad 10=claim",
  },
  stalling: {
    help: "one agent in ten takes requests and sends nothing",
    flags: "--bad 10=stall",
  },
  slow: {
    help: "one agent in ten sends 64 KiB/s to each of those who ask it",
    flags: "--bad 10=slow",
  },
  update: {
    help: "all agents have the version before, which shares 90 per cent of the pieces",
    flags: "--shared-percent 90",
  },
  background: {
    help: "every agent fetches something else in the background, at a limited rate",
    flags: "--beside-mib 64 --set backgroundRateBytesPerSec=131072",
  },
} as const satisfies Readonly<Record<string, ScenarioRow>>;

export type ScenarioName = keyof typeof SCENARIOS;
