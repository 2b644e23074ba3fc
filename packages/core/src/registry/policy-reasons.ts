/**
 * The one table of reasons why this agent does not take part in peering, or not in all of it, with
 * what an administrator can do about each. The page `docs/policies.md` is made from it.
 */

export interface PolicyReasonRow {
  /** What does not happen, and why, in one sentence. */
  readonly meaning: string;
  readonly remedy: string;
  /** Empty: Delivery Optimization has no policy of this meaning. */
  readonly policy: string;
}

export const POLICY_REASONS = {
  safeMode: {
    meaning: "The agent has crashed again and again, so it runs in safe mode, without peers.",
    remedy:
      "Look for the crashes in its log; ten minutes without one end safe mode at the next start.",
    policy: "",
  },
  modeHttpOnly: {
    meaning: "The download mode allows no peers.",
    remedy: "Choose mode 1, 2 or 3.",
    policy: "DODownloadMode",
  },
  modeSimple: {
    meaning: "The download mode allows no peers and looks for no manifests.",
    remedy: "Choose mode 1, 2 or 3.",
    policy: "DODownloadMode",
  },
  modeBypass: {
    meaning: "The download mode allows neither peers nor cache servers.",
    remedy: "Choose mode 1, 2 or 3, or 0 for cache servers without peers.",
    policy: "DODownloadMode",
  },
  groupKeyMissing: {
    meaning: "Mode 2 is for members of a group, and this agent has no key of one.",
    remedy: "Give it the key of the group, or set the group's id.",
    policy: "DOGroupId",
  },
  ramTooSmall: {
    meaning: "This machine has less memory than peering asks for.",
    remedy: "Lower the minimum, or leave the machine without peers.",
    policy: "DOMinRAMAllowedToPeer",
  },
  diskTooSmall: {
    meaning: "The file system of the state directory is smaller than peering asks for.",
    remedy: "Lower the minimum, or put the state directory on a larger one.",
    policy: "DOMinDiskSizeAllowedToPeer",
  },
  vpnUp: {
    meaning: "A VPN is up: only peers found by local discovery are taken.",
    remedy: "Allow peering on VPN, or disconnect it.",
    policy: "DOAllowVPNPeerCaching",
  },
  localDiscoveryOnly: {
    meaning: "Only peers found by local discovery are taken.",
    remedy: "Lift the restriction of peer selection.",
    policy: "DORestrictPeerSelectionBy",
  },
  onBattery: {
    meaning: "The machine runs on battery, with too little charge to upload.",
    remedy: "Connect it to mains, or lower the minimum.",
    policy: "DOMinBatteryPercentageAllowedToUpload",
  },
  metered: {
    meaning: "The network is metered, so nothing is uploaded.",
    remedy: "Allow uploads on metered networks.",
    policy: "",
  },
  memoryShort: {
    meaning: "The agent takes more memory than it may, so nothing is uploaded for now.",
    remedy: "Raise memoryBytesMax, or run fewer jobs at a time.",
    policy: "",
  },
  cacheServersOnVpn: {
    meaning: "A VPN is up, so cache servers are not asked.",
    remedy: "Allow cache servers on VPN, or disconnect it.",
    policy: "DODisallowCacheServerDownloadsOnVPN",
  },
  monthlyCapReached: {
    meaning: "This month's uploads to peers of the Internet are used up.",
    remedy: "Raise the cap, or wait for the first of the month (UTC).",
    policy: "DOMonthlyUploadDataCap",
  },
  fileTooSmall: {
    meaning: "The file is too small for peers.",
    remedy: "Lower the minimum length.",
    policy: "DOMinFileSizeToCache",
  },
  privateContent: {
    meaning: "The file was asked for with what strangers do not have, so it is not given to peers.",
    remedy: "Say that the job's file is shareable, if it is.",
    policy: "",
  },
} as const satisfies Record<string, PolicyReasonRow>;

export type PolicyReason = keyof typeof POLICY_REASONS;
