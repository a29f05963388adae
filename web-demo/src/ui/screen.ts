/** The pictures in a call's card: the far side's, and in its corner our own. Silent: what is heard comes by the loudspeaker. */
import { make } from './dom';

export interface Pictures {
  readonly own: MediaStream | null;
  readonly far: MediaStream | null;
}

export class Screen {
  private readonly far = picture('call-picture', 'The far side');
  private readonly own = picture('call-own-picture', 'Your camera');
  readonly element = make('div', { class: 'screen', hidden: true }, this.far, this.own);

  show(pictures: Pictures | undefined): void {
    fill(this.far, pictures?.far ?? null);
    fill(this.own, pictures?.own ?? null);
    this.element.hidden = this.far.hidden && this.own.hidden;
  }
}

function picture(name: string, words: string): HTMLVideoElement {
  const video = make('video', {
    'data-testid': name,
    'aria-label': words,
    autoplay: true,
    playsinline: true,
    hidden: true,
  });
  video.muted = true;
  return video;
}

function fill(video: HTMLVideoElement, stream: MediaStream | null): void {
  video.hidden = stream === null;
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  // Out of sight it may not play; it does when it is seen again.
  if (stream) void video.play().catch(() => {});
}
