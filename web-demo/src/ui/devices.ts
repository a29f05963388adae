/** The choice of microphone, loudspeaker and of how key tones are sent. */
import { choose, chosen, close, devices, MicrophoneError, openMicrophone } from '../media';
import type { DtmfWay } from '../session';
import type { Words } from '../words';
import { byId, make, setText } from './dom';

export class DeviceChoice {
  private readonly mic = byId('device-mic', HTMLSelectElement);
  private readonly speaker = byId('device-speaker', HTMLSelectElement);
  private readonly way = byId('dtmf-way', HTMLSelectElement);
  private readonly now = byId('devices-now', HTMLSpanElement);
  private readonly hint = byId('devices-hint', HTMLParagraphElement);
  private readonly find = byId('devices-find', HTMLButtonElement);

  constructor(microphone: () => void, speaker: (id: string) => void) {
    this.way.value = localStorage.getItem('causeway.dtmf') === 'INFO' ? 'INFO' : 'RFC2833';
    this.way.addEventListener('change', () => localStorage.setItem('causeway.dtmf', this.way.value));
    this.mic.addEventListener('change', () => {
      choose('microphone', this.mic.value);
      this.summary();
      microphone();
    });
    this.speaker.addEventListener('change', () => {
      choose('speaker', this.speaker.value);
      speaker(this.speaker.value);
    });
    this.find.addEventListener('click', () => void this.ask());
    navigator.mediaDevices?.addEventListener?.('devicechange', () => void this.refresh());
    void this.refresh();
  }

  dtmfWay(): DtmfWay {
    return this.way.value === 'INFO' ? 'INFO' : 'RFC2833';
  }

  async refresh(): Promise<void> {
    const { microphones, speakers, canChooseSpeaker } = await devices();
    fill(this.mic, 'Default microphone', microphones, chosen('microphone'));
    fill(this.speaker, 'Default loudspeaker', speakers, chosen('speaker'));
    this.speaker.disabled = !canChooseSpeaker;
    this.find.hidden = microphones.length > 0;
    const hint =
      microphones.length === 0
        ? 'The browser names devices once a microphone was allowed.'
        : canChooseSpeaker
          ? ''
          : 'This browser plays on the loudspeaker of the system.';
    this.tell(hint);
    this.summary();
  }

  /** Names of devices are shown only after the microphone was allowed once: ask for it, and let it go. */
  private async ask(): Promise<void> {
    try {
      close(await openMicrophone());
      await this.refresh();
    } catch (error) {
      if (!(error instanceof MicrophoneError)) throw error;
      const { title, hint }: Words = error.words;
      this.tell(`${title}. ${hint}`);
    }
  }

  private tell(hint: string): void {
    setText(this.hint, hint);
    this.hint.hidden = !hint;
  }

  private summary(): void {
    setText(this.now, this.mic.selectedOptions[0]?.textContent ?? '');
  }
}

function fill(select: HTMLSelectElement, first: string, list: MediaDeviceInfo[], id: string): void {
  const named = list.filter((device) => device.deviceId !== 'default');
  select.replaceChildren(
    make('option', { value: '' }, first),
    ...named.map((device) => make('option', { value: device.deviceId }, device.label)),
  );
  select.value = named.some((device) => device.deviceId === id) ? id : '';
}
