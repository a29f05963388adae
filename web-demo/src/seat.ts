/**
 * Which account belongs to which tab. A Web Lock is held as long as the tab lives, so the first tab takes the first free account and
 * the second the next, and a closed tab gives its own back without anybody tidying up.
 */
import { type Account, accountOrder, type Demo } from './config';

const REMEMBERED = 'causeway.user';
const INSTANCE = 'causeway.instance';

/** Takes the first free account. `asked` (from `?user=`) is taken even when another tab has it. */
export async function takeAccount(demo: Demo, asked: string | null): Promise<Account | undefined> {
  const wanted = demo.accounts.find((account) => account.user === asked);
  if (wanted) {
    void hold(`account:${wanted.user}`);
    return wanted;
  }
  const order = accountOrder(demo, null, sessionStorage.getItem(REMEMBERED));
  for (const account of order) {
    if (await hold(`account:${account.user}`)) return account;
  }
  return order[0];
}

export function rememberAccount(user: string): void {
  sessionStorage.setItem(REMEMBERED, user);
}

/**
 * The instance-id (RFC 5626 §4.1) of this tab and user, kept over a reload so that the new binding replaces the old one. A duplicated
 * tab has a copy of the storage: it finds the lock taken and makes its own.
 */
export async function instanceId(user: string): Promise<string> {
  const key = `${INSTANCE}.${user}`;
  const kept = sessionStorage.getItem(key);
  if (kept && (await hold(`instance:${kept}`))) return kept;
  const made = uuid();
  sessionStorage.setItem(key, made);
  void hold(`instance:${made}`);
  return made;
}

const held = new Set<string>();

async function hold(name: string): Promise<boolean> {
  if (!navigator.locks || held.has(name)) return true;
  return new Promise((resolve) => {
    void navigator.locks.request(`causeway:${name}`, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      if (lock === null) return undefined;
      held.add(name);
      // Never settled: the lock goes when the tab goes.
      return new Promise<void>(() => {});
    });
  });
}

/** crypto.randomUUID is missing on plain http of other hosts; getRandomValues is not. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
