// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.ui.autofill

import androidx.compose.ui.Modifier

interface ContentType {
    companion object {
        val SmsOtpCode: ContentType get() = TODO()
        val PhoneNumberDevice: ContentType get() = TODO()
    }
}

fun Modifier.contentType(type: ContentType): Modifier = TODO()
