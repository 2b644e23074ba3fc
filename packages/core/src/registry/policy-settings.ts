/**
 * Settings of peering: who may be a peer, and when this machine gives and takes. A part of the table
 * in `settings.ts`. Their defaults ask for nothing of the machine; what Delivery Optimization asks
 * for by default is the preset `do` of `policies.ts`.
 */
import { MiB } from "../units.ts";
import type { SettingRow } from "./settings.ts";

const LENGTH_BYTES_MAX = 1024 * 1024 * 1024 * MiB;

/** Delivery Optimization's download modes, by the glossary's names. */
export const DOWNLOAD_MODES = {
  httpOnly: 0,
  lan: 1,
  group: 2,
  internet: 3,
  simple: 99,
  bypass: 100,
} as const;

/** What narrows the choice of peers. */
export const PEER_RESTRICTIONS = { none: 0, subnet: 1, localDiscovery: 2 } as const;

/** Above every percentage: no upload at all while the machine runs on battery. */
export const NEVER_ON_BATTERY = 101;

export const POLICY_SETTINGS = {
  downloadMode: {
    default: DOWNLOAD_MODES.lan,
    min: 0,
    max: 100,
    values: Object.values(DOWNLOAD_MODES),
    unit: "choice",
    help: "Where bytes may come from: 0 origin, 1 and peers of the LAN, 2 and of the group, 3 and of the Internet, 99 origin without manifests, 100 origin alone.",
    doPolicy: "DODownloadMode",
  },
  peerRestriction: {
    default: PEER_RESTRICTIONS.none,
    min: 0,
    max: 2,
    values: Object.values(PEER_RESTRICTIONS),
    unit: "choice",
    help: "Which peers are taken of those that the mode allows: 0 all, 1 those in a subnet of this machine, 2 those found by local discovery.",
    doPolicy: "DORestrictPeerSelectionBy",
  },
  peerRamBytesMin: {
    default: 0,
    min: 0,
    max: LENGTH_BYTES_MAX,
    unit: "bytes",
    help: "Memory that this machine must have to take part in peering; 0 asks for none.",
    doPolicy: "DOMinRAMAllowedToPeer",
  },
  peerDiskBytesMin: {
    default: 0,
    min: 0,
    max: LENGTH_BYTES_MAX,
    unit: "bytes",
    help: "Capacity that the file system of the state directory must have to take part in peering; 0 asks for none.",
    doPolicy: "DOMinDiskSizeAllowedToPeer",
  },
  peerFileBytesMin: {
    default: 0,
    min: 0,
    max: LENGTH_BYTES_MAX,
    unit: "bytes",
    help: "Length below which a file is neither fetched from peers nor given to them.",
    doPolicy: "DOMinFileSizeToCache",
  },
  batteryUploadPercentMin: {
    default: 0,
    min: 0,
    max: NEVER_ON_BATTERY,
    unit: "percent",
    help: "Charge below which a machine on battery uploads nothing; 0 never minds, 101 uploads nothing on battery.",
    doPolicy: "DOMinBatteryPercentageAllowedToUpload",
  },
  vpnPeers: {
    default: 1,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Take part in peering while a VPN is up; peers found by local discovery are taken either way.",
    doPolicy: "DOAllowVPNPeerCaching",
  },
  vpnCacheServers: {
    default: 1,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Ask cache servers while a VPN is up.",
    doPolicy: "DODisallowCacheServerDownloadsOnVPN",
  },
  meteredUploads: {
    default: 1,
    min: 0,
    max: 1,
    unit: "boolean",
    help: "Upload while the network is metered.",
  },
  internetUploadMonthBytesMax: {
    default: 0,
    min: 0,
    max: LENGTH_BYTES_MAX,
    unit: "bytes",
    help: "Bytes sent to peers of the Internet in a calendar month (UTC); 0 is no limit.",
    doPolicy: "DOMonthlyUploadDataCap",
  },
  backgroundQosBytesPerSec: {
    default: 0,
    min: 0,
    max: 1024 * 1024 * MiB,
    unit: "bytes/s",
    help: "Rate below which a background file takes from the origin what peers have too; 0 leaves peers their time.",
    doPolicy: "DOMinBackgroundQos",
  },
} as const satisfies Record<string, SettingRow>;
