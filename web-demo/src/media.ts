/**
 * Microphone and loudspeaker: opening, choosing, changing in a call. The browser's media interfaces and nothing of the page.
 */
import { camera, microphone, type Words } from './words';

export class MicrophoneError extends Error {
  constructor(readonly words: Words) {
    super(words.title);
  }
}

export interface Devices {
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
  /** Whether the browser can send sound to a chosen loudspeaker. */
  canChooseSpeaker: boolean;
}

const CHOSEN = { microphone: 'causeway.microphone', speaker: 'causeway.speaker' };

export function chosen(kind: keyof typeof CHOSEN): string {
  return localStorage.getItem(CHOSEN[kind]) ?? '';
}

export function choose(kind: keyof typeof CHOSEN, id: string): void {
  localStorage.setItem(CHOSEN[kind], id);
}

/** Opens the chosen microphone, or the default one when the chosen one is gone. */
export async function openMicrophone(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError(microphone('', false));
  const id = chosen('microphone');
  try {
    return await open(id);
  } catch (error) {
    const name = errorName(error);
    if (id && (name === 'NotFoundError' || name === 'OverconstrainedError')) {
      choose('microphone', '');
      return openMicrophone();
    }
    throw new MicrophoneError(microphone(name, window.isSecureContext));
  }
}

function open(id: string): Promise<MediaStream> {
  const audio: MediaTrackConstraints = {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  };
  if (id) audio.deviceId = { exact: id };
  return navigator.mediaDevices.getUserMedia({ audio, video: false });
}

/** Opens the camera. */
export async function openCamera(): Promise<MediaStream> {
  const size = { width: { ideal: 640 }, height: { ideal: 360 } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video: size });
  } catch (error) {
    throw new MicrophoneError(camera(errorName(error)));
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : String(error);
}

export function close(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** Devices without a name are listed before the microphone was allowed; they cannot be told apart, so they are left out. */
export async function devices(): Promise<Devices> {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = (kind: MediaDeviceKind) => all.filter((d) => d.kind === kind && d.label && d.deviceId);
  return {
    microphones: named('audioinput'),
    speakers: named('audiooutput'),
    canChooseSpeaker: 'setSinkId' in HTMLMediaElement.prototype,
  };
}

/** The far side of one call, made audible. */
export class Speaker {
  private readonly element = new Audio();

  constructor(private readonly blocked: () => void) {
    this.element.autoplay = true;
    void this.choose(chosen('speaker'));
  }

  play(stream: MediaStream): void {
    if (this.element.srcObject !== stream) this.element.srcObject = stream;
    this.resume();
  }

  /** Browsers let no page sound before it was touched; then it is tried again at the first touch. */
  resume(): void {
    this.element.play().catch((error: unknown) => {
      if (errorName(error) === 'NotAllowedError') this.blocked();
    });
  }

  async choose(id: string): Promise<void> {
    if ('setSinkId' in this.element) await this.element.setSinkId(id).catch(() => {});
  }

  stop(): void {
    this.element.srcObject = null;
  }
}
