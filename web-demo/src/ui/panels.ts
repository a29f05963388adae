/** What opens under a call: the keypad that sends tones, and the transfer. */
import type { Call } from '../call';
import { make, setText } from './dom';
import { fillPad } from './pad';

export class KeypadPanel {
  readonly element: HTMLElement;
  private readonly sent = make('output', {
    class: 'tones',
    'data-testid': 'dtmf-sent',
    'aria-label': 'Tones sent',
  });

  constructor(pressed: (key: string) => void) {
    const pad = make('div', { class: 'pad', role: 'group', 'aria-label': 'Keypad, sends tones' });
    fillPad(pad, 'dtmf', pressed);
    this.element = make('div', { class: 'panel', 'data-testid': 'dtmf-panel', hidden: true }, this.sent, pad);
  }

  show(open: boolean): void {
    this.element.hidden = !open;
  }

  isOpen(): boolean {
    return !this.element.hidden;
  }

  tones(tones: string): void {
    setText(this.sent, tones || 'Press or type keys');
    this.sent.classList.toggle('faint', !tones);
  }
}

export class TransferPanel {
  readonly element: HTMLElement;
  private readonly input: HTMLInputElement;
  private readonly others = make('div', { class: 'others' });
  private shownOthers = '';

  constructor(
    transfer: (to: string) => void,
    private readonly join: (other: number) => void,
  ) {
    this.input = make('input', {
      type: 'text',
      'data-testid': 'transfer-input',
      placeholder: 'Name or number',
      autocapitalize: 'off',
      autocomplete: 'off',
      spellcheck: 'false',
    });
    const form = make(
      'form',
      {
        class: 'transfer',
        onsubmit: (event) => {
          event.preventDefault();
          if (!this.input.value.trim()) return this.input.focus();
          transfer(this.input.value);
          this.show(false);
        },
      },
      make('label', {}, 'Transfer to', this.input),
      make('button', { type: 'submit', class: 'primary', 'data-testid': 'transfer-submit' }, 'Transfer'),
    );
    this.element = make('div', { class: 'panel', hidden: true }, form, this.others);
  }

  show(open: boolean): void {
    this.element.hidden = !open;
    if (open) {
      this.input.value = '';
      this.input.focus();
    }
  }

  offerOthers(others: readonly Call[]): void {
    const key = others.map((other) => other.id).join();
    if (key === this.shownOthers) return;
    this.shownOthers = key;
    this.others.replaceChildren(
      ...others.map((other) =>
        make(
          'button',
          {
            type: 'button',
            class: 'quiet',
            'data-testid': 'transfer-join',
            onclick: () => {
              this.show(false);
              this.join(other.id);
            },
          },
          `Connect them with ${other.peer.display}, and leave`,
        ),
      ),
    );
  }
}
