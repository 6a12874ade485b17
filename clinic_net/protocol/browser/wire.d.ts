/** What signal.js and call.js speak of: the shapes of clinicnet.signal.v1 (protocol/README.md). */

export interface Message {
  t: string;
  id?: string;
  seq?: number;
  ack?: number;
  re?: string;
  call?: string;
  ep?: number;
  ts?: number;
  d: Record<string, unknown>;
}

export interface CallView {
  call: string;
  state: string;
  rev: number;
  tier: number;
  ep: number;
  urgency: string;
  specialty: string;
  accepted_by?: string;
  facility?: string;
  next_step_at?: string;
  end_reason?: string;
}

export interface Snapshot {
  calls: CallView[];
  invites: Record<string, unknown>[];
}

export type PeerEvent =
  | { e: "welcomed"; sid: string; resumed: boolean; snapshot: Snapshot | null }
  | { e: "delivered"; message: Message }
  | { e: "answered"; id: string; t: string; ok: boolean; d: Record<string, unknown> };

/** What a page shows of its call. `problem`, `error` and `phase` are codes; words belong to the page. */
export interface CallState {
  phase: "idle" | "devices" | "joining" | "waiting" | "connecting" | "connected" | "reconnecting" | "ended";
  /** What is wrong with camera or microphone. */
  problem: "denied" | "no_devices" | "in_use" | "device_lost" | "insecure" | null;
  /** Why the hub refused the join. */
  error: string | null;
  role: "offerer" | "answerer" | null;
  ep: number;
  microphone: boolean;
  camera: boolean;
  muted: boolean;
  cameraOff: boolean;
  /** The browser plays nothing until the page is touched: offer a button that calls play(). */
  needsTap: boolean;
  signalling: "connecting" | "online" | "offline" | "stopped";
  /** Whether the other side's signalling is there; its media may flow all the same. */
  peerSignalling: boolean;
  /** What arrives here, by decoded frames and sound energy. */
  media: { flowing: boolean; audio: boolean; video: boolean };
  call: CallView | null;
}
