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
  crit?: boolean;
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
