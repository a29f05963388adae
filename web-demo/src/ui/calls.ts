/** The cards of all calls, newest first, and where the keyboard stands when they change. */
import { type Call, foremost } from '../call';
import type { Figures } from '../stats';
import { Card, type CardActions } from './card';
import { byId, isTyping } from './dom';

export class Calls {
  private readonly place = byId('calls', HTMLElement);
  private readonly empty = byId('empty', HTMLDivElement);
  private readonly cards = new Map<number, Card>();

  constructor(
    private readonly actions: CardActions,
    private readonly figures: (id: number) => Figures | undefined,
  ) {}

  update(calls: readonly Call[]): void {
    const had = document.activeElement;
    const inside = had instanceof HTMLElement && this.place.contains(had);
    let fresh = false;
    for (const [id, card] of this.cards) {
      if (calls.some((call) => call.id === id)) continue;
      card.element.remove();
      this.cards.delete(id);
    }
    for (const call of [...calls].reverse()) {
      let card = this.cards.get(call.id);
      if (!card) {
        card = new Card(call, this.actions);
        this.cards.set(call.id, card);
        this.place.prepend(card.element);
        fresh = true;
      }
      card.update(call, calls);
    }
    this.empty.hidden = calls.length > 0;
    this.tick();
    // Focus must not fall to the page's top because its button went away, nor be taken from somebody who types.
    const lost = inside && (!had.isConnected || had.offsetParent === null);
    if (lost || (fresh && !isTyping(document.activeElement))) this.front(calls)?.focusMain();
  }

  tick(): void {
    for (const [id, card] of this.cards) card.tick(Date.now(), this.figures(id));
  }

  front(calls: readonly Call[]): Card | undefined {
    const call = foremost(calls);
    return call && this.cards.get(call.id);
  }
}
