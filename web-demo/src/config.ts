/**
 * What the gateway says about itself in `/demo.json`, read with distrust, and which account this tab takes. Without it the page
 * works too: the account form is then filled in by hand.
 */

export interface Account {
  user: string;
  password: string;
  display: string;
}

export interface Target {
  user: string;
  label: string;
}

export interface Demo {
  ws: string | null;
  /** Other ways in, for when that one fails. */
  spare: string[];
  domain: string;
  accounts: Account[];
  targets: Target[];
  desk: Target[];
  iceServers: RTCIceServer[];
  /** Seconds after which the servers' credentials should be asked for anew; null if they have none. */
  renewAfter: number | null;
}

/** All that a registration needs. */
export interface Login extends Account {
  domain: string;
  ws: string;
}

export const NO_DEMO: Demo = {
  ws: null,
  spare: [],
  domain: '',
  accounts: [],
  targets: [],
  desk: [],
  iceServers: [],
  renewAfter: null,
};

/** Takes what is right and leaves what is not, so that an older or newer gateway does not break the page. */
export function parseDemo(value: unknown): Demo {
  if (!isRecord(value)) return NO_DEMO;
  return {
    ws: text(value.ws) || null,
    spare: Array.isArray(value.spare) ? value.spare.map(text).filter((url) => url !== '') : [],
    domain: text(value.domain),
    accounts: list(value.accounts).flatMap((row) => {
      const user = text(row.user);
      return user ? [{ user, password: text(row.password), display: text(row.display) || user }] : [];
    }),
    targets: targets(value.targets),
    desk: targets(value.desk),
    iceServers: list(value.iceServers) as unknown as RTCIceServer[],
    renewAfter: typeof value.renewAfter === 'number' && value.renewAfter > 0 ? value.renewAfter : null,
  };
}

function targets(value: unknown): Target[] {
  return list(value).flatMap((row) => {
    const user = text(row.user);
    return user ? [{ user, label: text(row.label) || text(row.display) || user }] : [];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.trim() : '';
}

/** How calls find their way: `?relay=1` takes the relay alone, as a network would that lets nothing else through. */
export function iceWay(iceServers: RTCIceServer[], query: URLSearchParams): RTCConfiguration {
  return query.has('relay') ? { iceServers, iceTransportPolicy: 'relay' } : { iceServers };
}

/** The address of the WebSocket: the one that was said, or `/sip` of the page's own origin. */
export function socketUrl(ws: string | null, page: URL): string {
  if (ws) return ws;
  return `${page.protocol === 'https:' ? 'wss:' : 'ws:'}//${page.host}/sip`;
}

/** The other ways in. Whoever typed an address of his own wants that one. */
export function spareUrls(demo: Demo, ws: string, page: URL): string[] {
  return ws === socketUrl(demo.ws, page) ? demo.spare : [];
}

/** What a person types to be called, as a target for JsSIP: blanks, brackets and dashes of a number go. */
export function normalizeTarget(typed: string): string {
  const trimmed = typed.trim();
  const number = trimmed.replace(/[\s().\-/]/g, '');
  return /^\+?[0-9*#]+$/.test(number) ? number : trimmed.replace(/\s+/g, '');
}

/** Names in the order in which this tab tries to take them: the one asked for, the one it had, then all. */
export function accountOrder(demo: Demo, asked: string | null, had: string | null): Account[] {
  const first = [asked, had].flatMap((user) => demo.accounts.filter((account) => account.user === user));
  return [...new Set([...first, ...demo.accounts])];
}

/** The account that a second tab should take: the next one after ours. */
export function otherAccount(demo: Demo, user: string): Account | undefined {
  return demo.accounts.find((account) => account.user !== user);
}

/** The name that the gateway has for a user. */
export function nameIn(demo: Demo, user: string): string | undefined {
  const target = [...demo.targets, ...demo.desk].find((one) => one.user === user);
  return target?.label ?? demo.accounts.find((account) => account.user === user)?.display;
}

export async function loadDemo(fetcher: typeof fetch = fetch): Promise<Demo> {
  try {
    const answer = await fetcher('/demo.json', { cache: 'no-store' });
    return answer.ok ? parseDemo(await answer.json()) : NO_DEMO;
  } catch {
    return NO_DEMO;
  }
}
