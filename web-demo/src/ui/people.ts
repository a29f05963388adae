/** Who can be called with one click: echo, tone, the other browsers, the desk phones. */
import type { Demo, Target } from '../config';
import { byId, icon, make } from './dom';

export function showPeople(demo: Demo, self: string, call: (user: string) => void): void {
  const rows: [Target, string, string][] = [
    ...demo.targets.map((target): [Target, string, string] => [
      target,
      imageOf(target.user),
      hintOf(target.user),
    ]),
    ...demo.accounts
      .filter((account) => account.user !== self)
      .map((account): [Target, string, string] => [
        { user: account.user, label: account.display },
        'person',
        'another browser',
      ]),
    ...demo.desk.map((target): [Target, string, string] => [target, 'desk', 'desk phone']),
  ];
  byId('people', HTMLElement).hidden = rows.length === 0;
  byId('people-list', HTMLUListElement).replaceChildren(
    ...rows.map(([target, image, hint]) =>
      make(
        'li',
        {},
        make(
          'button',
          {
            type: 'button',
            class: 'person',
            'data-testid': `target-${target.user}`,
            onclick: () => call(target.user),
          },
          make('span', { class: 'disc' }, icon(image)),
          make(
            'span',
            {},
            make('strong', {}, target.label),
            make('small', {}, target.user, make('span', { class: 'aside' }, hint ? `, ${hint}` : '')),
          ),
        ),
      ),
    ),
  );
}

function imageOf(user: string): string {
  return user === 'echo' ? 'echo' : user === 'tone' ? 'tone' : 'call';
}

function hintOf(user: string): string {
  if (user === 'echo') return 'says what you say';
  return user === 'tone' ? 'plays a steady tone' : '';
}
