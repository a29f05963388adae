/** The dial pad: typing, tapping, Enter, and the typing that meets no field. */
import type { Tones } from '../tones';
import { byId, isTyping } from './dom';
import { fillPad } from './pad';

export class Dial {
  private readonly input = byId('dial-input', HTMLInputElement);

  constructor(tones: Tones, call: (target: string) => void) {
    fillPad(byId('dial-pad', HTMLFieldSetElement), 'key', (key) => {
      tones.key(key);
      this.put(key);
    });
    byId('dial-back', HTMLButtonElement).addEventListener('click', () => {
      this.input.value = this.input.value.slice(0, -1);
      this.input.focus();
    });
    byId('dial-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.input.value.trim()) return this.input.focus();
      call(this.input.value);
      this.input.value = '';
    });
  }

  /** A key typed outside of fields goes to the number. True when it was taken. */
  typed(event: KeyboardEvent): boolean {
    if (isTyping(event.target) || event.ctrlKey || event.altKey || event.metaKey) return false;
    if (!/^[0-9*#+]$/.test(event.key)) return false;
    this.put(event.key);
    this.input.focus();
    return true;
  }

  focus(): void {
    this.input.focus();
  }

  private put(key: string): void {
    this.input.value += key;
  }
}
