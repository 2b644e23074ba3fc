/**
 * How a simulated peer treats others badly, while its engine stays honest. Pure; obeyed by
 * `SimSwarm`, chosen by scenarios.
 */

/** All of it can be combined. */
export interface PeerBehaviour {
  /** Share of pieces sent with wrong bytes. Default 0. */
  readonly corruptShare?: number;
  /**
   * Claims to hold every piece of what it takes part in, as soon as it does. Its honest engine then
   * refuses what it lacks. Default false.
   */
  readonly claimsAll?: boolean;
  /** Accepts requests and never sends a piece. Default false. */
  readonly stalls?: boolean;
  /** What one of its uploads gets at most. Default no limit. */
  readonly uploadRateBytesPerSecMax?: number;
}

/** With the defaults, which harm nobody. */
export function completeBehaviour(behaviour: PeerBehaviour = {}): Required<PeerBehaviour> {
  return {
    corruptShare: behaviour.corruptShare ?? 0,
    claimsAll: behaviour.claimsAll ?? false,
    stalls: behaviour.stalls ?? false,
    uploadRateBytesPerSecMax: behaviour.uploadRateBytesPerSecMax ?? Infinity,
  };
}
