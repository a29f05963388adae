/** Wiring: the one place that knows every part. */
import { type Call, foremost } from './call';
import {
  type Demo,
  iceWay,
  type Login,
  loadDemo,
  NO_DEMO,
  nameIn,
  otherAccount,
  socketUrl,
  spareUrls,
} from './config';
import { expose } from './debug';
import { Phone, type Snapshot } from './phone';
import { instanceId, rememberAccount, takeAccount } from './seat';
import { Tones } from './tones';
import { AccountForm } from './ui/account';
import { Announcer } from './ui/announce';
import { Calls } from './ui/calls';
import { DeviceChoice } from './ui/devices';
import { Dial } from './ui/dial';
import { byId, isTyping } from './ui/dom';
import { isKey } from './ui/pad';
import { showPeople } from './ui/people';
import { Recent } from './ui/recent';
import { Status } from './ui/status';

const query = new URLSearchParams(location.search);
const tones = new Tones();
let demo: Demo = NO_DEMO;
const phone = new Phone(
  (now) => update(now),
  (user) => nameIn(demo, user),
  () => iceWay(demo.iceServers, query),
);
const call = (target: string) => void phone.call(target);
const devices = new DeviceChoice(
  () => void phone.useMicrophone(),
  (id) => void phone.useSpeaker(id),
);
const tone = (id: number, key: string) => {
  tones.key(key);
  phone.tone(id, key, devices.dtmfWay());
};
const account = new AccountForm(
  (login) => void signIn(login),
  () => phone.signOut(),
);
const announcer = new Announcer();
const status = new Status(() => phone.dismissNotice());
const recent = new Recent(call);
const dial = new Dial(tones, call);
const calls = new Calls(
  {
    answer: (id) => void phone.answer(id),
    hangUp: (id) => phone.hangUp(id),
    mute: (id, on) => phone.mute(id, on),
    hold: (id, on) => phone.hold(id, on),
    film: (id, on) => void phone.film(id, on),
    pictures: (id) => phone.session(id)?.camera,
    tone,
    transfer: (id, to) => phone.transfer(id, to),
    join: (id, other) => phone.join(id, other),
    again: call,
    dismiss: (id) => {
      phone.dismiss(id);
      dial.focus();
    },
  },
  (id) => phone.session(id)?.figures,
);
function update(now: Snapshot): void {
  status.update(now);
  calls.update(now.calls);
  announcer.calls(now.calls);
  recent.update(now.calls);
  account.update(now.line);
  sound(now.calls);
}

let wasOpen = new Set<number>();

function sound(list: readonly Call[]): void {
  const first = foremost(list);
  if (first?.phase === 'ringing') tones.ring();
  else if (first?.phase === 'calling' && first.progress === 'ringing') tones.ringback();
  else tones.stop();
  // Only what the caller did not end itself is worth a sound.
  if (list.some((one) => one.end && !one.end.normal && wasOpen.has(one.id))) tones.failed();
  wasOpen = new Set(list.filter((one) => one.phase !== 'ended').map((one) => one.id));
  // A microphone that was allowed for a call has made the devices' names visible.
  if (first?.phase === 'calling' || first?.phase === 'up') void devices.refresh();
}

async function signIn(login: Login): Promise<void> {
  rememberAccount(login.user);
  recent.of(login.user);
  showPeople(demo, login.user, call);
  const spare = spareUrls(demo, login.ws, new URL(location.href));
  phone.signIn(login, await instanceId(login.user), spare);
}

async function start(): Promise<void> {
  demo = await loadDemo();
  renewWay();
  const taken = await takeAccount(demo, query.get('user'));
  const page = new URL(location.href);
  const before = taken ? {} : account.remembered();
  const login: Login = {
    user: taken?.user ?? before.user ?? '',
    password: taken?.password ?? '',
    display: taken?.display ?? before.display ?? '',
    domain: demo.domain || before.domain || page.hostname,
    ws: before.ws || socketUrl(demo.ws, page),
  };
  account.fill(login);
  showSecondPhone(demo, login.user);
  if (taken) return signIn(login);
  account.open();
  update(phone.snapshot());
}

/** Credentials of a TURN server expire; a call that begins later needs newer ones. */
function renewWay(): void {
  if (demo.renewAfter === null) return;
  setTimeout(async () => {
    const { iceServers } = await loadDemo();
    // An answer without any is a gateway that is away: the old ones are good for a while.
    if (iceServers.length) demo = { ...demo, iceServers };
    renewWay();
  }, demo.renewAfter * 1000);
}

/** A second tab as the second user. Its storage is its own (noopener), or it would copy our instance-id. */
function showSecondPhone(known: Demo, user: string): void {
  const other = otherAccount(known, user);
  const button = byId('second-phone', HTMLButtonElement);
  button.hidden = !other;
  button.addEventListener('click', () => {
    if (other)
      window.open(`${location.pathname}?user=${encodeURIComponent(other.user)}`, '_blank', 'noopener');
  });
}

function keyed(event: KeyboardEvent): void {
  tones.unlock();
  const now = phone.snapshot().calls;
  if (event.key === 'Escape') stepBack(now);
  else if (sendsTone(event, now) || dial.typed(event)) event.preventDefault();
}

/** With the keypad of a call open, typed keys are tones. */
function sendsTone(event: KeyboardEvent, now: readonly Call[]): boolean {
  const front = foremost(now);
  const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !isTyping(event.target);
  if (!front || !plain || !isKey(event.key) || !calls.front(now)?.keypad.isOpen()) return false;
  tone(front.id, event.key);
  return true;
}

/** Escape closes what is open, then hangs up, then clears away. */
function stepBack(now: readonly Call[]): void {
  const front = foremost(now);
  if (!front || calls.front(now)?.closePanels()) return;
  if (front.phase === 'ended') phone.dismiss(front.id);
  else phone.hangUp(front.id);
}

addEventListener('keydown', keyed);
addEventListener('pointerdown', () => {
  tones.unlock();
  phone.resumeSound();
});
addEventListener('online', () => phone.doubt());
addEventListener('pagehide', () => phone.leave());
setInterval(() => calls.tick(), 250);
expose(phone);
void start();
