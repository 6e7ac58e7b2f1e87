// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.core.content

import android.content.BroadcastReceiver
import android.content.Context
import android.content.Intent
import android.content.IntentFilter

object ContextCompat {
    const val RECEIVER_EXPORTED = 2

    fun registerReceiver(
        context: Context, receiver: BroadcastReceiver?, filter: IntentFilter, permission: String?, handler: Any?, flags: Int,
    ): Intent? = TODO()
}
