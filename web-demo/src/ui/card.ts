/** One call on the page: who, what state, what can be done. Built once, then patched. */
import { type Call, type Direction, shown } from '../call';
import type { Figures } from '../stats';
import { sentence } from './announce';
import { duration, icon, make, setIcon, setText } from './dom';
import { KeypadPanel, TransferPanel } from './panels';
import { Quality } from './quality';
import { type Pictures, Screen } from './screen';

export interface CardActions {
  answer(id: number): void;
  hangUp(id: number): void;
  mute(id: number, on: boolean): void;
  hold(id: number, on: boolean): void;
  film(id: number, on: boolean): void;
  pictures(id: number): Pictures | undefined;
  tone(id: number, key: string): void;
  transfer(id: number, to: string): void;
  join(id: number, other: number): void;
  again(user: string): void;
  dismiss(id: number): void;
}

export class Card {
  readonly element: HTMLElement;
  readonly keypad: KeypadPanel;
  readonly transferring: TransferPanel;
  private readonly status = make('span', { class: 'status', 'data-testid': 'call-status' });
  private readonly timer = make('span', {
    class: 'timer',
    'data-testid': 'call-timer',
    'aria-hidden': 'true',
  });
  private readonly trouble = make('p', { class: 'trouble', 'data-testid': 'call-trouble', hidden: true });
  private readonly reason = make('p', { class: 'hint', 'data-testid': 'call-reason', hidden: true });
  private readonly quality = new Quality();
  private readonly screen = new Screen();
  private readonly buttons: Record<
    'answer' | 'decline' | 'hangup' | 'mute' | 'hold' | 'video' | 'keypad' | 'transfer' | 'again' | 'close',
    HTMLButtonElement
  >;
  private call: Call;

  constructor(
    call: Call,
    private readonly actions: CardActions,
  ) {
    this.call = call;
    const { id } = call;
    const button = (name: string, words: string, image: string, look: string, done: () => void) =>
      make(
        'button',
        { type: 'button', class: look, 'data-testid': `call-${name}`, onclick: done },
        make('span', { class: 'disc' }, icon(image)),
        make('span', { class: 'words' }, words),
      );
    this.buttons = {
      answer: button('answer', 'Answer', 'call', 'round go', () => actions.answer(id)),
      decline: button('decline', 'Decline', 'hangup', 'round stop', () => actions.hangUp(id)),
      mute: button('mute', 'Mute', 'mic', 'round', () => actions.mute(id, !this.call.muted)),
      hold: button('hold', 'Hold', 'pause', 'round', () => actions.hold(id, !this.call.hold.local)),
      video: button('video', 'Camera', 'video', 'round', () => actions.film(id, !this.call.camera)),
      keypad: button('keypad', 'Keypad', 'pad', 'round', () => this.toggle(this.keypad)),
      transfer: button('transfer', 'Transfer', 'transfer', 'round', () => this.toggle(this.transferring)),
      hangup: button('hangup', 'Hang up', 'hangup', 'round stop', () => actions.hangUp(id)),
      again: button('again', 'Call again', 'call', 'round go', () => actions.again(call.peer.user)),
      close: button('close', 'Close', 'close', 'round', () => actions.dismiss(id)),
    };
    this.keypad = new KeypadPanel((key) => actions.tone(id, key));
    this.transferring = new TransferPanel(
      (to) => actions.transfer(id, to),
      (other) => actions.join(id, other),
    );
    this.element = this.build(call);
  }

  /** Opens or closes a panel; only one is open. */
  toggle(panel: KeypadPanel | TransferPanel): void {
    const open = panel.element.hidden;
    for (const one of [this.keypad, this.transferring]) one.show(one === panel && open);
    this.marks();
  }

  /** Closes what is open. True when something was. */
  closePanels(): boolean {
    const open = !this.keypad.element.hidden || !this.transferring.element.hidden;
    this.keypad.show(false);
    this.transferring.show(false);
    this.marks();
    return open;
  }

  update(call: Call, others: readonly Call[]): void {
    this.call = call;
    const state = shown(call);
    const { dataset } = this.element;
    dataset.state = state;
    dataset.direction = call.direction;
    dataset.progress = call.progress;
    dataset.media = call.media;
    dataset.verdict = call.verdict?.reason ?? '';
    dataset.hold = holdWord(call.hold);
    dataset.muted = String(call.muted);
    dataset.camera = String(call.camera);
    dataset.picture = String(call.picture);
    dataset.reason = call.end?.reason ?? '';
    dataset.status = String(call.end?.status ?? '');
    dataset.bad = String(call.end !== null && !call.end.normal);
    setText(this.status, sentence(call));
    this.tell(call);
    this.offer(call);
    this.keypad.tones(call.tones);
    this.transferring.offerOthers(others.filter((other) => other.id !== call.id && other.phase === 'up'));
    // What we hold waits in a small card, so that the other call has the room.
    const early = call.phase === 'calling' && call.progress === 'early';
    const talking = call.phase === 'up' && !call.hold.local;
    if (!talking && !early) this.keypad.show(false);
    if (call.phase !== 'up') this.transferring.show(false);
    this.marks();
    this.quality.element.hidden = !talking;
    this.screen.show(talking ? this.actions.pictures(call.id) : undefined);
  }

  tick(now: number, figures: Figures | undefined): void {
    const { upAt, endedAt } = this.call;
    setText(this.timer, upAt === null ? '' : duration((endedAt ?? now) - upAt));
    if (figures && this.call.phase === 'up') this.quality.show(figures);
  }

  /** The button that a keyboard wants next. */
  focusMain(): void {
    const { answer, hangup, again } = this.buttons;
    [answer, hangup, again].find((button) => !button.hidden)?.focus();
  }

  private build(call: Call): HTMLElement {
    const { answer, decline, hangup, mute, hold, video, keypad, transfer, again, close } = this.buttons;
    const name = `call-${call.id}-name`;
    return make(
      'article',
      {
        class: 'card call',
        'data-testid': 'call',
        'data-call': String(call.id),
        'data-peer': call.peer.user,
        'aria-labelledby': name,
      },
      make(
        'div',
        { class: 'who' },
        make('span', { class: 'face', 'aria-hidden': 'true' }, initial(call.peer.display)),
        make(
          'div',
          {},
          make('h3', { id: name, 'data-testid': 'call-peer' }, call.peer.display),
          make(
            'p',
            { class: 'state' },
            make('span', { class: 'way' }, way(call.direction)),
            this.status,
            this.timer,
          ),
        ),
      ),
      this.trouble,
      this.reason,
      this.screen.element,
      this.quality.element,
      make(
        'div',
        { class: 'actions' },
        decline,
        answer,
        mute,
        hold,
        video,
        keypad,
        transfer,
        hangup,
        again,
        close,
      ),
      this.keypad.element,
      this.transferring.element,
    );
  }

  /** Words about what is wrong or under way. */
  private tell(call: Call): void {
    const silent = shown(call) === 'up' ? silenceOf(call) : '';
    const trouble = call.transfer?.words ?? silent;
    setText(this.trouble, trouble);
    this.trouble.hidden = !trouble;
    this.trouble.dataset.kind = call.transfer && call.transfer.state !== 'failed' ? 'info' : 'warn';
    const hint = call.end?.hint ?? (silent && call.verdict ? call.verdict.hint : '');
    setText(this.reason, hint);
    this.reason.hidden = !hint;
  }

  /** Shows the buttons that fit the state. */
  private offer(call: Call): void {
    const { answer, decline, hangup, mute, hold, video, keypad, transfer, again, close } = this.buttons;
    const up = call.phase === 'up' && !call.leaving;
    answer.hidden = call.phase !== 'ringing';
    decline.hidden = call.phase !== 'ringing';
    hangup.hidden = call.phase !== 'calling' && call.phase !== 'up';
    mute.hidden = !up;
    hold.hidden = !up;
    video.hidden = !up || call.hold.local;
    video.setAttribute('aria-pressed', String(call.camera));
    transfer.hidden = !up;
    keypad.hidden = (!up || call.hold.local) && !(call.phase === 'calling' && call.progress === 'early');
    again.hidden = call.phase !== 'ended';
    close.hidden = call.phase !== 'ended';
    mute.setAttribute('aria-pressed', String(call.muted));
    setIcon(mute, call.muted ? 'mic-off' : 'mic');
    hold.setAttribute('aria-pressed', String(call.hold.local));
    setIcon(hold, call.hold.local ? 'play' : 'pause');
    setText(mute.querySelector('.words') ?? mute, call.muted ? 'Muted' : 'Mute');
    setText(hold.querySelector('.words') ?? hold, call.hold.local ? 'Resume' : 'Hold');
  }

  private marks(): void {
    this.buttons.keypad.setAttribute('aria-expanded', String(!this.keypad.element.hidden));
    this.buttons.transfer.setAttribute('aria-expanded', String(!this.transferring.element.hidden));
  }
}

/** What is said while nothing is heard. */
function silenceOf({ media, verdict, peer }: Call): string {
  if (verdict) return `${verdict.title}.`;
  if (media === 'restoring') return 'No audio arrives; reconnecting the media …';
  return media === 'silent' ? `No audio arrives from ${peer.display}.` : '';
}

function holdWord(hold: Call['hold']): string {
  if (hold.local && hold.remote) return 'both';
  return hold.local ? 'local' : hold.remote ? 'remote' : 'none';
}

function way(direction: Direction): string {
  return direction === 'out' ? 'Outgoing. ' : 'Incoming. ';
}

function initial(name: string): string {
  return (/\p{L}|\p{N}/u.exec(name)?.[0] ?? '?').toUpperCase();
}
