/** The line in the header, the banner below it, the title of the tab. */
import { type Call, foremost, shown } from '../call';
import type { Line, Snapshot } from '../phone';
import { certificatePage, type Words } from '../words';
import { byId, setText } from './dom';

export class Status {
  private readonly text = byId('line-text', HTMLSpanElement);
  private readonly banner = byId('banner', HTMLDivElement);
  private readonly title = byId('banner-title', HTMLElement);
  private readonly hint = byId('banner-hint', HTMLSpanElement);
  private readonly link = byId('banner-link', HTMLAnchorElement);
  private readonly close = byId('banner-close', HTMLButtonElement);
  private readonly emptyTitle = byId('empty-title', HTMLParagraphElement);
  private readonly emptyHint = byId('empty-hint', HTMLParagraphElement);
  private flash = false;
  private calls: readonly Call[] = [];
  private name = '';

  constructor(dismiss: () => void) {
    this.close.addEventListener('click', dismiss);
    setInterval(() => {
      this.flash = !this.flash;
      this.caption();
    }, 1000);
  }

  update({ line, calls, notice }: Snapshot): void {
    const { dataset } = document.body;
    const call = foremost(calls);
    dataset.line = line.state;
    dataset.state = shown(call);
    dataset.reason = call?.end?.reason ?? '';
    dataset.status = String(call?.end?.status ?? '');
    this.calls = calls;
    this.name = line.login?.display ?? '';
    setText(this.text, lineWords(line));
    const [title, hint] = invitation(line.state);
    setText(this.emptyTitle, title);
    setText(this.emptyHint, hint);
    this.tell(notice ?? line.trouble, notice !== null, line);
    this.caption();
  }

  private tell(words: Words | null, closable: boolean, line: Line): void {
    this.banner.dataset.reason = words?.reason ?? '';
    setText(this.title, words?.title ?? '');
    setText(this.hint, words?.hint ?? '');
    this.banner.hidden = words === null;
    this.close.hidden = !closable;
    const page = words?.reason === 'certificate' ? certificatePage(line.login?.ws ?? '') : null;
    this.link.hidden = page === null;
    if (page) this.link.href = page;
  }

  private caption(): void {
    const call = foremost(this.calls);
    const rest = this.name ? `${this.name}, Causeway` : 'Causeway';
    let title = rest;
    if (call?.phase === 'ringing') title = this.flash ? `☎ ${call.peer.display} is calling` : rest;
    else if (call?.phase === 'up') title = `In call: ${call.peer.display}`;
    if (document.title !== title) document.title = title;
  }
}

function lineWords({ state, login }: Line): string {
  switch (state) {
    case 'off':
      return 'Signed out';
    case 'connecting':
      return 'Connecting';
    case 'registering':
      return 'Signing in';
    case 'registered':
      return `Ready as ${login?.display ?? ''}`;
    case 'retrying':
      return 'Reconnecting';
    case 'refused':
      return 'Not signed in';
  }
}

/** What the empty place for calls says. */
function invitation(state: Line['state']): [title: string, hint: string] {
  switch (state) {
    case 'registered':
      return [
        'Ready when you are',
        'Pick somebody, or type a name or a number. Enter calls, Escape hangs up.',
      ];
    case 'off':
    case 'refused':
      return ['Sign in to make calls', 'User name and password go under Account.'];
    default:
      return ['One moment', 'The page is connecting to the gateway.'];
  }
}
