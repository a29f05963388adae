/** The account form: filled in from what the gateway says, or by hand. Passwords are left to the browser's own keeper. */
import type { Login } from '../config';
import type { Line } from '../phone';
import { byId, setText } from './dom';

const KEPT = 'causeway.account';
type Kept = Pick<Login, 'user' | 'domain' | 'display' | 'ws'>;

export class AccountForm {
  private readonly details = byId('account', HTMLDetailsElement);
  private readonly form = byId('account-form', HTMLFormElement);
  private readonly now = byId('account-now', HTMLSpanElement);
  private readonly out = byId('account-out', HTMLButtonElement);

  constructor(signIn: (login: Login) => void, signOut: () => void) {
    this.form.addEventListener('submit', (event) => {
      event.preventDefault();
      const login = this.read();
      const kept: Kept = { user: login.user, domain: login.domain, display: login.display, ws: login.ws };
      localStorage.setItem(KEPT, JSON.stringify(kept));
      signIn(login);
    });
    this.out.addEventListener('click', signOut);
  }

  fill(login: Login): void {
    for (const name of ['user', 'password', 'domain', 'display', 'ws'] as const)
      this.field(name).value = login[name];
  }

  /** What was typed the last time, without the password. */
  remembered(): Partial<Kept> {
    try {
      return (JSON.parse(localStorage.getItem(KEPT) ?? '{}') as Partial<Kept> | null) ?? {};
    } catch {
      return {};
    }
  }

  open(): void {
    this.details.open = true;
  }

  update(line: Line): void {
    const named = line.login ? `${line.login.user}@${line.login.domain}` : 'none';
    setText(this.now, line.state === 'off' ? 'signed out' : named);
    this.out.hidden = line.state === 'off';
    // A wrong password is mended here.
    if (line.state === 'refused') this.open();
  }

  private read(): Login {
    const value = (name: string) => this.field(name).value.trim();
    return {
      user: value('user'),
      password: this.field('password').value,
      domain: value('domain'),
      display: value('display') || value('user'),
      ws: value('ws'),
    };
  }

  private field(name: string): HTMLInputElement {
    const field = this.form.elements.namedItem(name);
    if (!(field instanceof HTMLInputElement)) throw new Error(`index.html has no field ${name}`);
    return field;
  }
}
