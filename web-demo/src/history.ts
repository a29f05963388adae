/** The calls of the past, a short list for each user, kept in this browser. */
import type { Call, Direction } from './call';

export interface Past {
  user: string;
  display: string;
  direction: Direction;
  /** Milliseconds since the epoch. */
  at: number;
  /** Milliseconds of talk; null when nobody answered. */
  talked: number | null;
  /** Why it did not come about; empty when it did. */
  why: string;
}

const LONGEST = 20;

export function pastOf(call: Call): Past {
  const talked = call.upAt === null || call.endedAt === null ? null : call.endedAt - call.upAt;
  return {
    user: call.peer.user,
    display: call.peer.display,
    direction: call.direction,
    at: call.startedAt,
    talked,
    why: talked === null ? (call.end?.title ?? '') : '',
  };
}

export function add(list: readonly Past[], past: Past): Past[] {
  return [past, ...list].slice(0, LONGEST);
}

const key = (user: string) => `causeway.history.${user}`;

export function load(user: string): Past[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key(user)) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isPast) : [];
  } catch {
    return [];
  }
}

export function save(user: string, list: readonly Past[]): void {
  localStorage.setItem(key(user), JSON.stringify(list));
}

function isPast(value: unknown): value is Past {
  const past = value as Partial<Past> | null;
  return typeof past?.user === 'string' && typeof past.display === 'string' && typeof past.at === 'number';
}

/** `14:05` today, `Mon 14:05` in the last days, else the date. */
export function when(at: number, now: number): string {
  const date = new Date(at);
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (new Date(now).toDateString() === date.toDateString()) return time;
  if (now - at < 6 * 86_400_000) return `${date.toLocaleDateString([], { weekday: 'short' })} ${time}`;
  return date.toLocaleDateString();
}
