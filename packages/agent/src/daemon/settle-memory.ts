/**
 * Gives memory back to the system when the agent has started. A start leaves behind what was needed
 * to load the sources, and V8 has no reason of its own to look for it in a process that then waits.
 *
 * Knows V8's collector, where the process was started with `--expose-gc` (`node-flags.ts`). Called
 * by `runDaemon`.
 */
type Collect = (options: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

/** Takes some 100 ms; does nothing where the collector is not to be had. */
export function settleMemory({ gc }: { readonly gc?: Collect } = globalThis as object): void {
  gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
}
