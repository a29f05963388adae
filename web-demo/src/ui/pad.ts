/** A keypad: twelve keys with the letters people know from telephones. Used to dial and to send tones. */
import { make } from './dom';

const KEYS: [key: string, letters: string, name: string][] = [
  ['1', '', '1'],
  ['2', 'ABC', '2'],
  ['3', 'DEF', '3'],
  ['4', 'GHI', '4'],
  ['5', 'JKL', '5'],
  ['6', 'MNO', '6'],
  ['7', 'PQRS', '7'],
  ['8', 'TUV', '8'],
  ['9', 'WXYZ', '9'],
  ['*', '', 'star'],
  ['0', '+', '0'],
  ['#', '', 'hash'],
];

export function fillPad(pad: HTMLElement, prefix: string, pressed: (key: string) => void): void {
  for (const [key, letters, name] of KEYS) {
    pad.append(
      make(
        'button',
        {
          type: 'button',
          'aria-label': letters ? `${name} ${letters}` : name,
          'data-testid': `${prefix}-${name}`,
          onclick: () => pressed(key),
        },
        make('span', { class: 'digit' }, key),
        ' ',
        make('span', { class: 'letters' }, letters),
      ),
    );
  }
}

export function isKey(key: string): boolean {
  return /^[0-9*#]$/.test(key);
}
