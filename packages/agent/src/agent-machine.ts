/**
 * What is known of the machine, and what policies make of it: looks every half minute, lets whoever
 * embeds the agent know better, and passes on the whole. A look that takes too long, or fails, tells
 * nothing, and what was known stays.
 *
 *   probe ──every 30 s──▶ found ─┐
 *   setMachine ─────────▶ told ──┴─▶ scheduler
 *
 * Knows a probe; not what its facts mean. Called by `startAgent`.
 */
import { isBoolean, isCount, isRecordOf, PACE_SETTINGS, ShoalError } from "@shoal/core";
import type {
  EffectiveSetting,
  MachineFacts,
  Millis,
  PaceSettingName,
  PaceSettings,
  ResolvedPolicies,
  Scheduler,
} from "@shoal/core";
import type { AgentConfiguration } from "./agent-policies.ts";
import type { MachineProbe } from "./probes/machine-probe.ts";

/** The part of an agent that is about policies. */
export interface PolicyFace {
  /**
   * What is so of the machine whatever is found out about it; what is not given stays. Peers,
   * uploads and offers follow at once, as policies say. Throws `ERR_USAGE`.
   */
  setMachine(facts: MachineFacts): void;
  /** Settings and policies in force with their providers, and how far peering is open now. */
  configuration(): AgentConfiguration;
}

/** What was made of settings and policies. */
export type InForce = Pick<ResolvedPolicies, "effective" | "policies">;

export interface AgentMachineDeps {
  /** Runs a verb on the scheduler. */
  act<Result>(verb: (scheduler: Scheduler, now: Millis) => Result): Result;
}

const LOOK_INTERVAL_MS = 30_000;
const LOOK_TIMEOUT_MS = 5_000;

export class AgentMachine implements PolicyFace, Disposable {
  readonly #deps: AgentMachineDeps;
  #policies: InForce;
  readonly #probe: MachineProbe;
  readonly #timer: NodeJS.Timeout;
  #found: MachineFacts = {};
  #told: MachineFacts = {};
  #isLooking = false;
  #isOver = false;

  private constructor(deps: AgentMachineDeps, policies: InForce, probe: MachineProbe) {
    this.#deps = deps;
    this.#policies = policies;
    this.#probe = probe;
    this.#timer = setInterval(() => void this.#look(), LOOK_INTERVAL_MS);
    // Whoever waits for jobs keeps the process alive; looking does not.
    this.#timer.unref();
  }

  /** Resolves after the first look, which may have found nothing. */
  static async start(
    deps: AgentMachineDeps,
    options: {
      readonly policies: InForce;
      readonly probe: MachineProbe;
      /** Told from the beginning. */
      readonly facts?: MachineFacts;
    },
  ): Promise<AgentMachine> {
    const machine = new AgentMachine(deps, options.policies, options.probe);
    machine.#told = options.facts ?? {};
    await machine.#look();
    return machine;
  }

  setMachine(facts: MachineFacts): void {
    if (!isFactsShape(facts)) throw new ShoalError("ERR_USAGE", "not facts of a machine");
    this.#told = { ...this.#told, ...facts };
    this.#apply();
  }

  configuration(): AgentConfiguration {
    const { effective, policies } = this.#policies;
    return this.#deps.act(({ paceSettings, peering }) => ({
      settings: effective.map((setting) => asChanged(setting, paceSettings)),
      policies,
      peering,
    }));
  }

  /** What `configuration` tells from now on. */
  setPolicies(policies: InForce): void {
    this.#policies = policies;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const facts = await lookInTime(this.#probe);
    this.#isLooking = false;
    if (this.#isOver) return;
    this.#found = facts ?? this.#found;
    this.#apply();
  }

  #apply(): void {
    const facts = { ...this.#found, ...this.#told };
    this.#deps.act((scheduler, now) => scheduler.setMachine(facts, now));
  }
}

/** What was changed while the agent runs is an explicit setting from then on. */
function asChanged(setting: EffectiveSetting, inForce: PaceSettings): EffectiveSetting {
  // Of the others the scheduler says what it was started with.
  const isPace = Object.hasOwn(PACE_SETTINGS, setting.name);
  const value = isPace ? inForce[setting.name as PaceSettingName] : setting.value;
  return value === setting.value ? setting : { ...setting, value, provider: "setting" };
}

const isFactsShape = isRecordOf(
  {},
  {
    ramBytes: isCount(),
    diskBytes: isCount(),
    isOnBattery: isBoolean,
    batteryPercent: isCount(100),
    hasVpn: isBoolean,
    isMetered: isBoolean,
    isShortOfMemory: isBoolean,
    isSafeMode: isBoolean,
  },
);

/** `undefined` when the look fails or is not done in time. */
async function lookInTime(probe: MachineProbe): Promise<MachineFacts | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), LOOK_TIMEOUT_MS);
  try {
    return await Promise.race([probe(), late]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
